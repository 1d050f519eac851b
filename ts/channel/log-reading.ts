import { readMessageColumns, rowsFor, type StoredBatch, startOfEvent } from '../durability/index.ts'
import { Column, SCHEMA_ID_BYTES } from '../protocol/index.ts'
import { rowOffset } from './one-message-run.ts'
import type { MessageRun } from './run.ts'

/** Consecutive messages of a log, as a run that can be delivered. Its memory is never written again. */
export interface LoggedRun {
  readonly run: MessageRun
  /** The position of the run's first row; the others follow without a gap. */
  readonly first: bigint
  /** Of all of its messages. */
  readonly schemaId: Uint8Array
}

/** What a read of a log returns at most. It returns at least one message if there is one. */
export interface LogLimits {
  readonly maxMessages: number
  readonly maxBytes: number
}

/** Turns stored records into runs: one for each stretch of messages with the same schema id. @throws LiminalError `STORE_CORRUPT`. */
export function runsOf(batch: StoredBatch, channel: string): LoggedRun[] {
  const { bytes, ends, first } = batch
  const memory = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const columns = rowsFor(ends.length)
  const runs: LoggedRun[] = []
  let from = 0
  for (let index = 0; index < ends.length; index++) {
    const start = startOfEvent(ends, index)
    const row = rowOffset(index)
    readMessageColumns(
      memory,
      start,
      ends[index],
      columns,
      row,
      `Message ${first + BigInt(index)} of channel '${channel}'`,
    )
    if (
      index > from &&
      !sameSchema(memory, columns[rowOffset(from) + Column.ENVELOPE], columns[row + Column.ENVELOPE])
    ) {
      runs.push(runOf(memory, columns, first, from, index))
      from = index
    }
  }
  if (ends.length > from) runs.push(runOf(memory, columns, first, from, ends.length))
  return runs
}

/** The first messages of runs within limits: one at least if there is one, whatever its size. */
export function firstMessages(runs: readonly LoggedRun[], { maxMessages, maxBytes }: LogLimits): readonly LoggedRun[] {
  const taken: LoggedRun[] = []
  let left = maxMessages
  let leftBytes = maxBytes
  for (const logged of runs) {
    const { run } = logged
    const fitting = messagesWithin(run, Math.min(run.count, left), leftBytes)
    const count = taken.length === 0 && left > 0 ? Math.max(1, fitting) : fitting
    if (count <= 0) break
    const part = count === run.count ? run : { ...run, count }
    taken.push(part === run ? logged : { ...logged, run: part })
    if (count < run.count) break
    left -= count
    leftBytes -= bytesOf(part)
  }
  return taken
}

/** Bytes that the envelopes of a run lie in, with what is between them. */
export function bytesOf(run: MessageRun): number {
  return endOf(run, run.count) - startOf(run)
}

/** How many of the first `most` messages of a run lie within its first `maxBytes`. */
function messagesWithin(run: MessageRun, most: number, maxBytes: number): number {
  const end = startOf(run) + maxBytes
  let [fitting, tooMany] = [0, most + 1]
  while (tooMany - fitting > 1) {
    // Mostly all of them fit.
    const count = tooMany === most + 1 && fitting === 0 ? most : (fitting + tooMany) >>> 1
    if (endOf(run, count) <= end) fitting = count
    else tooMany = count
  }
  return fitting
}

function startOf({ columns, first }: MessageRun): number {
  return columns[rowOffset(first) + Column.ENVELOPE]
}

/** Where the first `count` messages of a run end; at least one. */
function endOf({ columns, first }: MessageRun, count: number): number {
  const row = rowOffset(first + count - 1)
  return columns[row + Column.PAYLOAD] + columns[row + Column.PAYLOAD_LENGTH]
}

function runOf(bytes: Buffer, columns: Int32Array, first: bigint, from: number, to: number): LoggedRun {
  columns[rowOffset(from) + Column.RUN] = to - from
  columns[0] = Math.max(columns[0], to)
  const schemaAt = columns[rowOffset(from) + Column.ENVELOPE]
  return {
    run: { bytes, columns, first: from, count: to - from },
    first: first + BigInt(from),
    schemaId: bytes.subarray(schemaAt, schemaAt + SCHEMA_ID_BYTES),
  }
}

function sameSchema(bytes: Buffer, left: number, right: number): boolean {
  return bytes.compare(bytes, left, left + SCHEMA_ID_BYTES, right, right + SCHEMA_ID_BYTES) === 0
}
