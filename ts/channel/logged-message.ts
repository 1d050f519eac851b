import { type MessageHead, readMessageHead } from '../durability/index.ts'
import { Column } from '../protocol/index.ts'
import type { LoggedRun } from './log-reading.ts'
import { rowOffset } from './one-message-run.ts'

/** A message as a log has it. Its bytes are views of what was read. */
export interface LoggedMessage extends MessageHead {
  readonly position: bigint
  readonly schemaId: Uint8Array
  /** As it was delivered: schema id, causal context, payload. */
  readonly envelope: Uint8Array
  readonly payload: Uint8Array
  /** The idempotency key in UTF-8; `null` without one. */
  readonly key: Uint8Array | null
}

/** One message of a run. @param index 0 is the run's first. */
export function loggedMessage({ run, first, schemaId }: LoggedRun, index: number): LoggedMessage {
  const { columns } = run
  const bytes = Buffer.from(run.bytes.buffer, run.bytes.byteOffset, run.bytes.length)
  const row = rowOffset(run.first + index)
  const payloadAt = columns[row + Column.PAYLOAD]
  const payloadEnd = payloadAt + columns[row + Column.PAYLOAD_LENGTH]
  const keyAt = columns[row + Column.KEY]
  const keyLength = columns[row + Column.KEY_LENGTH]
  return {
    ...readMessageHead(bytes, columns[row + Column.START]),
    position: first + BigInt(index),
    schemaId,
    envelope: bytes.subarray(columns[row + Column.ENVELOPE], payloadEnd),
    payload: bytes.subarray(payloadAt, payloadEnd),
    key: keyLength < 0 ? null : bytes.subarray(keyAt, keyAt + keyLength),
  }
}

/** The message at a position; `null` if it is not in these runs. */
export function messageIn(runs: readonly LoggedRun[], position: bigint): LoggedMessage | null {
  for (const logged of runs) {
    const index = Number(position - logged.first)
    if (index >= 0 && index < logged.run.count) return loggedMessage(logged, index)
  }
  return null
}
