import { LiminalError } from '../errors.ts'
import { tooLarge } from '../payload.ts'
import type { BusCore } from './core.ts'
import type { SubscriptionQueueLimits } from './local-sink.ts'

/** What the parts of one bus in this process share. */
export interface LocalContext {
  readonly core: BusCore
  readonly subscriptionQueue: SubscriptionQueueLimits
  /** Largest message, in bytes of its envelope. */
  readonly maxMessageBytes: number
  /** Aborted when the bus ends what is left. */
  readonly ending: AbortSignal
}

/** The error of everything that is done on, or was underway on, a closed bus. */
export function closedError(cause?: unknown): LiminalError {
  return new LiminalError('CLOSED', 'The bus is closed.', { cause })
}

/** @throws LiminalError `CLOSED`, `SHUTTING_DOWN`. */
export function checkOpen({ core }: LocalContext): void {
  if (core.state === 'draining') {
    throw new LiminalError(
      'SHUTTING_DOWN',
      'The bus is shutting down: it finishes what is underway and takes nothing new.',
    )
  }
  if (core.state !== 'open') throw closedError()
}

/** @throws LiminalError `PAYLOAD_TOO_LARGE` for a message that no connection would take. */
export function checkSize(context: LocalContext, bytes: number): void {
  if (bytes > context.maxMessageBytes) throw tooLarge(bytes, context.maxMessageBytes)
}
