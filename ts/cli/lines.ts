import { usageError } from './failure.ts'

/** One line of input, its newline cut off, otherwise untouched. */
export interface Line {
  /** Counts from 1, blank lines included. */
  readonly number: number
  readonly bytes: Uint8Array
}

const NEWLINE = 0x0a

/**
 * The lines of a stream of chunks, as many at a time as a chunk completes. Holds at most one unfinished line. The last line needs no newline.
 *
 * @throws LiminalError `INVALID_ARGUMENT` for a line of more than `maxLineBytes`.
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  maxLineBytes: number,
): AsyncGenerator<readonly Line[], void, undefined> {
  let number = 1
  // The start of a line that no chunk has finished yet.
  let pieces: Uint8Array[] = []
  let pending = 0
  const grow = (piece: Uint8Array) => {
    pending += piece.length
    if (pending > maxLineBytes) {
      throw usageError(`line ${number} is longer than ${maxLineBytes} bytes; a message this large does not fit a frame`)
    }
    pieces.push(piece)
  }

  for await (const chunk of chunks) {
    const lines: Line[] = []
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      grow(chunk.subarray(start, end))
      lines.push({ number, bytes: pieces.length === 1 ? pieces[0] : Buffer.concat(pieces) })
      pieces = []
      pending = 0
      number += 1
      start = end + 1
    }
    if (start < chunk.length) grow(chunk.subarray(start))
    if (lines.length > 0) yield lines
  }
  if (pending > 0) yield [{ number, bytes: Buffer.concat(pieces) }]
}
