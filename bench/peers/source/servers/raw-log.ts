import { fdatasync, openSync, writev } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { LOG } from '../clients/raw.ts'

const write = promisify(writev)
const sync = promisify(fdatasync)

/**
 * Appends chunks to a file, all that came during one write together with the next, each time with fdatasync. The function given back resolves when it has nothing more to do.
 *
 * @param stored called with what the disk has now, in order.
 */
export function appendLog(
  directory: string,
  stored: (chunks: readonly Buffer[]) => void,
): (chunk: Buffer) => Promise<void> {
  const file = openSync(join(directory, LOG), 'a')
  let waiting: Buffer[] = []
  let writing = false
  return async (chunk) => {
    waiting.push(chunk)
    if (writing) return
    writing = true
    while (waiting.length > 0) {
      const chunks = waiting
      waiting = []
      await writeAll(file, chunks)
      await sync(file)
      stored(chunks)
    }
    writing = false
  }
}

/** A write may end early: the rest is written again. */
async function writeAll(file: number, chunks: readonly Buffer[]): Promise<void> {
  let rest = chunks
  while (rest.length > 0) {
    let { bytesWritten } = await write(file, rest)
    const whole = rest.findIndex((chunk) => {
      if (bytesWritten < chunk.length) return true
      bytesWritten -= chunk.length
      return false
    })
    if (whole === -1) return
    rest = [rest[whole].subarray(bytesWritten), ...rest.slice(whole + 1)]
  }
}
