import type { Random } from '../random.ts'

/** The system writes whole pages, in whatever order it likes. */
const PAGE = 4_096

/** Bytes that were written to a file at an offset. */
interface Written {
  readonly is: 'written'
  readonly file: string
  readonly offset: number
  readonly bytes: Buffer
}

/** A sync of a file. It takes everything that was written to it before, or the one write before it, to the disk; one that fails leaves it open what is there, and the system forgets about it. */
interface Synced {
  readonly is: 'synced' | 'sync-failed'
  readonly file: string
  /** The write that it is of, if it is of one only. */
  readonly only: Written | null
}

/** Everything that happened to the files of a disk, in order; and what would be there if the power failed at any point of that. */
export class Platter {
  readonly #events: (Written | Synced)[] = []

  /** How much has happened: a point to cut at. */
  get length(): number {
    return this.#events.length
  }

  written(file: string, offset: number, bytes: Buffer): Written {
    const written: Written = { is: 'written', file, offset, bytes }
    this.#events.push(written)
    return written
  }

  synced(file: string, only: Written | null, failed = false): void {
    this.#events.push({ is: failed ? 'sync-failed' : 'synced', file, only })
  }

  /**
   * The file as the disk has it when the power fails after `length` events: what was synced, and of the rest those pages that the system happened to have written.
   * @param random decides which those are; `null`: none.
   */
  image(file: string, length: number, random: Random | null): Buffer {
    let disk: Buffer = Buffer.alloc(0)
    let pending: Written[] = []
    for (const event of this.#events.slice(0, length)) {
      if (event.file !== file) continue
      if (event.is === 'written') {
        pending.push(event)
        continue
      }
      const { only } = event
      const covered = only === null ? pending : pending.filter((written) => written === only)
      pending = only === null ? [] : pending.filter((written) => written !== only)
      if (event.is === 'synced') for (const { offset, bytes } of covered) disk = patched(disk, offset, bytes)
      // A page of which the system believes that it is written is never written again by itself.
      else disk = someOf(disk, covered, random)
    }
    return someOf(disk, pending, random)
  }
}

/** Some pages of what was written, each as it was after some of the writes to it. */
function someOf(disk: Buffer, written: readonly Written[], random: Random | null): Buffer {
  if (random === null) return disk
  /** Pages that the system has written for the last time. */
  const left = new Set<number>()
  let after = disk
  for (const { offset, bytes } of written) {
    for (let at = 0, end = 0; at < bytes.length; at = end) {
      const page = Math.floor((offset + at) / PAGE)
      end = Math.min(bytes.length, (page + 1) * PAGE - offset)
      if (left.has(page)) continue
      if (random(2) === 0) left.add(page)
      else after = patched(after, offset + at, bytes.subarray(at, end))
    }
  }
  return after
}

function patched(disk: Buffer, offset: number, bytes: Buffer): Buffer {
  const end = offset + bytes.length
  const whole = end <= disk.length ? disk : Buffer.concat([disk, Buffer.alloc(end - disk.length)])
  bytes.copy(whole, offset)
  return whole
}
