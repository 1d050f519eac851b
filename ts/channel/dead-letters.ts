import { codec } from '../codec/index.ts'
import { LiminalError } from '../errors.ts'
import { type CausalContext, Column } from '../protocol/index.ts'
import type { ChannelCore } from './channel-core.ts'
import type { DeadLetter } from './cursor/index.ts'
import { oneMessageRun, rowOffset } from './one-message-run.ts'
import type { PublishObserver } from './run.ts'

/** Where messages of a channel go that were delivered too often, unless their cursor says otherwise. */
export function deadLetterChannel(channel: string): string {
  return `${channel}.dead-letter`
}

/** Dead-letter channels that a message goes through at most: more of them name each other. */
const MOST_BURIALS = 16

/**
 * Publishes a message to a dead-letter channel and resolves once it is stored: its payload as it is, caused by `channel@position`, published by `cursor name: why`. Its key makes sure that a
 * message that is buried twice is there once. The vector clock of its causal context counts its burials; at the 16th it is left where it is, in all the channels that it came through.
 *
 * @param incarnation Which channel of its name the message is of: positions of another one that was removed are not its own.
 * @throws LiminalError what the publish was refused with.
 */
export async function bury(letter: DeadLetter, to: ChannelCore, incarnation?: number): Promise<void> {
  const burials = burialsOf(letter) + 1n
  if (burials > MOST_BURIALS) return
  try {
    const causal = { parentId: `${letter.channel}@${letter.position}`, vectorClockEntry: burials }
    await publish(letter, to, causal, incarnation)
  } catch (error) {
    // A message of the largest size has no room for what caused it.
    if (!(error instanceof LiminalError && error.code === 'PAYLOAD_TOO_LARGE')) throw error
    await publish(letter, to, null, incarnation)
  }
}

/** How often a message was buried before. */
function burialsOf({ run }: DeadLetter): bigint {
  const row = rowOffset(run.first)
  const keyAt = run.columns[row + Column.KEY]
  const key = Buffer.from(
    run.bytes.buffer,
    run.bytes.byteOffset + keyAt,
    Math.max(0, run.columns[row + Column.KEY_LENGTH]),
  )
  const text = key.toString('latin1')
  if (!(text.startsWith('["') && text.endsWith('"]'))) return 0n
  const from = run.columns[row + Column.ENVELOPE]
  const to = run.columns[row + Column.PAYLOAD] + run.columns[row + Column.PAYLOAD_LENGTH]
  return codec.extractCausalContext(run.bytes.subarray(from, to)).vectorClockEntry ?? 0n
}

function publish(
  letter: DeadLetter,
  to: ChannelCore,
  causal: CausalContext | null,
  incarnation: number | undefined,
): Promise<void> {
  const { channel, cursor, position, attempts, reason, run } = letter
  const own = incarnation === undefined ? [] : [String(incarnation)]
  const key = JSON.stringify([channel, cursor, position.toString(), ...own])
  const row = rowOffset(run.first)
  const at = run.columns[row + Column.PAYLOAD]
  const payload = run.bytes.subarray(at, at + run.columns[row + Column.PAYLOAD_LENGTH])
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
    to.publishRun(oneMessageRun(payload, causal, key), observer)
  })
}

/** A dead-letter channel that loses what it gets is none. */
export function notDurableDeadLetters(channel: string): LiminalError {
  const message = `Channel '${channel}' cannot take dead letters: it is not durable. Declare it with durable: true, or name another one.`
  return new LiminalError('NOT_SUPPORTED', message)
}
