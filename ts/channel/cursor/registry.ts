import { checkInteger, checkName } from '../../arguments.ts'
import { LiminalError } from '../../errors.ts'
import { toLiminalError } from '../../thrown.ts'
import { Cursor, cursorKey } from './cursor.ts'
import type { CursorLog } from './feed.ts'
import { type CursorRecord, decodeRecord } from './record.ts'

export interface CursorRegistryOptions {
  /** Cursors of the channel; those that the store has are always there. Default 1,024. */
  readonly maxCursors?: number | undefined
}

const MAX_CURSORS = 1_024

/** The cursors of one durable channel: those that its store had, and those made since. */
export class CursorRegistry {
  readonly #log: CursorLog
  readonly #maxCursors: number
  readonly #cursors = new Map<string, Cursor>()
  /** Cursors whose record cannot be read, and why. */
  readonly #unreadable = new Map<string, LiminalError>()
  #closed: LiminalError | null = null

  private constructor(log: CursorLog, options: CursorRegistryOptions) {
    checkInteger('maxCursors', options.maxCursors, 1)
    this.#log = log
    this.#maxCursors = options.maxCursors ?? MAX_CURSORS
  }

  /**
   * Reads the cursors of a channel from its store. One whose record is damaged fails when it is asked for, and not the others.
   *
   * @param log open already: cursors are measured against its end.
   * @throws LiminalError `STORE_FAILED`, `CLOSED`.
   */
  static async open(log: CursorLog, options: CursorRegistryOptions = {}): Promise<CursorRegistry> {
    const registry = new CursorRegistry(log, options)
    const { store, name: channel } = log
    for (
      let page = await store.keys('cursor', [channel]);
      ;
      page = await store.keys('cursor', [channel], { after: page.after })
    ) {
      for (const { parts } of page.keys) {
        const name = parts[1]
        const value = await store.get(cursorKey(channel, name))
        if (value !== null) registry.#restore(name, value)
      }
      if (page.after === null) return registry
    }
  }

  /** By name. Those whose record is damaged are not among them. */
  get cursors(): readonly Cursor[] {
    return [...this.#cursors.values()].sort((left, right) => (left.name < right.name ? -1 : 1))
  }

  /**
   * The first position that some cursor still needs; `null` if there is no cursor. With a damaged one it is 0, until that is set or removed: nobody knows what it needs.
   */
  get neededFrom(): bigint | null {
    if (this.#unreadable.size > 0) return 0n
    let lowest: bigint | null = null
    for (const { neededFrom } of this.#cursors.values()) {
      if (lowest === null || neededFrom < lowest) lowest = neededFrom
    }
    return lowest
  }

  /** @throws LiminalError `CURSOR_NOT_FOUND`, `STORE_CORRUPT`, `NOT_SUPPORTED` (of a later version), `CLOSED`. */
  get(name: string): Cursor {
    const cursor = this.#find(name)
    if (cursor !== null) return cursor
    throw new LiminalError(
      'CURSOR_NOT_FOUND',
      `Channel '${this.#log.name}' has no cursor '${name}'. Subscribe with it, or set it to a position.`,
    )
  }

  /**
   * The cursor of a name, or a new one. That one is durable once its first owner is ready.
   *
   * @param start where a new one begins: positions outside the log are those of its ends. Without meaning for one that exists.
   * @throws LiminalError `INVALID_ARGUMENT`; `LIMIT_EXCEEDED`; `STORE_CORRUPT`, `NOT_SUPPORTED` (of a later version), `CLOSED`.
   */
  findOrCreate(name: string, start: bigint): Cursor {
    checkName('cursor', name)
    const cursor = this.#find(name)
    if (cursor !== null) return cursor
    if (this.#cursors.size + this.#unreadable.size >= this.#maxCursors) {
      const text = `Channel '${this.#log.name}' has ${this.#maxCursors} cursors and takes no more. Remove those that nobody uses, or raise maxCursorsPerChannel.`
      throw new LiminalError('LIMIT_EXCEEDED', text)
    }
    return this.#create(name, start)
  }

  /** Moves a cursor, or makes it; one that was damaged is whole again. See Cursor.set. @throws LiminalError also what {@link findOrCreate} does. */
  async set(name: string, position: bigint): Promise<Cursor> {
    const damaged = this.#unreadable.delete(name)
    const cursor = damaged ? this.#create(name, position) : this.findOrCreate(name, position)
    await cursor.set(position)
    return cursor
  }

  /** Forgets a cursor, damaged or not. See Cursor.remove. @throws LiminalError also `CURSOR_NOT_FOUND`. */
  async remove(name: string): Promise<void> {
    if (this.#unreadable.has(name)) {
      await this.#log.store.write([{ type: 'set', key: cursorKey(this.#log.name, name), value: null }])
      this.#unreadable.delete(name)
      return
    }
    const cursor = this.get(name)
    await cursor.remove()
    if (this.#cursors.get(name) === cursor) this.#cursors.delete(name)
  }

  /**
   * Ends all cursors with their channel: their owners' targets are ended with this error, and what they accepted is written down. Idempotent.
   *
   * @throws LiminalError what the first of the last checkpoints failed with; the others are written all the same.
   */
  async close(error: LiminalError): Promise<void> {
    if (this.#closed !== null) return
    this.#closed = error
    const outcomes = await Promise.allSettled([...this.#cursors.values()].map((cursor) => cursor.close(error)))
    const failed = outcomes.find((outcome) => outcome.status === 'rejected')
    if (failed !== undefined) throw toLiminalError(failed.reason)
  }

  #find(name: string): Cursor | null {
    if (this.#closed !== null) throw this.#closed
    const unreadable = this.#unreadable.get(name)
    if (unreadable !== undefined) throw unreadable
    return this.#cursors.get(name) ?? null
  }

  #create(name: string, start: bigint): Cursor {
    const { first, next } = this.#log
    const within = start < first ? first : start > next ? next : start
    const cursor = new Cursor(name, this.#log, { epoch: 0, owned: false, watermark: Number(within), spans: [] })
    this.#cursors.set(name, cursor)
    return cursor
  }

  #restore(name: string, value: Uint8Array): void {
    try {
      const record = decodeRecord(value, `cursor '${name}' of channel '${this.#log.name}'`)
      this.#cursors.set(name, new Cursor(name, this.#log, withinLog(record, Number(this.#log.next))))
    } catch (error) {
      this.#unreadable.set(name, toLiminalError(error))
    }
  }
}

/**
 * A record without what lies behind the end of its log. A log that was not synced can lose its end in a power failure; its positions are given to other messages then, which nobody accepted.
 */
function withinLog(record: CursorRecord, next: number): CursorRecord {
  const watermark = Math.min(record.watermark, next)
  const spans: { count: number; attempts: number }[] = []
  let at = record.watermark
  for (const { count, attempts } of record.spans) {
    const within = Math.min(count, next - at)
    if (within <= 0) break
    spans.push({ count: within, attempts })
    at += within
  }
  return { ...record, watermark, spans }
}
