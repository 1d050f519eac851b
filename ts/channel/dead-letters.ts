import { LiminalError } from '../errors.ts'
import { Column } from '../protocol/index.ts'
import type { ChannelCore } from './channel-core.ts'
import type { DeadLetter } from './cursor/index.ts'
import { oneMessageRun, rowOffset } from './one-message-run.ts'
import type { PublishObserver } from './run.ts'

/** Where messages of a channel go that were delivered too often, unless their cursor says otherwise. */
export function deadLetterChannel(channel: string): string {
  return `${channel}.dead-letter`
}

/**
 * Publishes a message to a dead-letter channel and resolves once it is stored: its payload as it is, caused by `channel@position`, published by `cursor name: why`. Its key makes sure that a
 * message that is buried twice is there once.
 *
 * @throws LiminalError what the publish was refused with.
 */
export function bury(letter: DeadLetter, to: ChannelCore): Promise<void> {
  const { channel, cursor, position, attempts, reason, run } = letter
  const row = rowOffset(run.first)
  const at = run.columns[row + Column.PAYLOAD]
  const payload = run.bytes.subarray(at, at + run.columns[row + Column.PAYLOAD_LENGTH])
  const causal = { parentId: `${channel}@${position}`, vectorClockEntry: null }
  return new Promise((resolve, reject) => {
    const publisher = Buffer.from(
      `cursor ${cursor}, after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}: ${reason}`,
    )
    const observer: PublishObserver = {
      publisher,
      accepted: () => resolve(),
      duplicate: () => resolve(),
      refused: reject,
    }
    to.publishRun(oneMessageRun(payload, causal, JSON.stringify([channel, cursor, position.toString()])), observer)
  })
}

/** A dead-letter channel that loses what it gets is none. */
export function notDurableDeadLetters(channel: string): LiminalError {
  const message = `Channel '${channel}' cannot take dead letters: it is not durable. Declare it with durable: true, or name another one.`
  return new LiminalError('NOT_SUPPORTED', message)
}
