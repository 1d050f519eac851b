import type { Bus } from '../../../ts/bus/index.ts'
import { type Identity, identityOf, keyOf } from './message.ts'

/** Administration shows so many messages at a time. */
const PEEKED = 1_024

/** Everything that a channel's log has, in order. @throws Error if a position is left out or comes twice. */
export async function readLog(bus: Bus, channel: string): Promise<readonly Identity[]> {
  const { first, next } = await bus.administration.channel(channel)
  if (first !== 0n || next === null) throw new Error(`The log of ${channel} goes from ${first} to ${next}.`)
  const log: Identity[] = []
  if (next === 0n) return log
  const subscription = bus.channel<Uint8Array>(channel, { payload: 'bytes' }).subscribe({ from: 'earliest' })
  for await (const { position, bytes } of subscription) {
    if (position !== BigInt(log.length)) throw new Error(`${channel} gave ${position} where ${log.length} was due.`)
    log.push(identityOf(bytes))
    if (position === next - 1n) break
  }
  return log
}

/** @throws Error unless administration shows the same log, each message with its key, and message ids that rise. */
export async function verifyPeeked(bus: Bus, channel: string, log: readonly Identity[]): Promise<void> {
  let lastId = -1n
  for (let position = 0; position < log.length; position += PEEKED) {
    const page = await bus.administration.peek(channel, { from: { position: BigInt(position) }, limit: PEEKED })
    const due = Math.min(PEEKED, log.length - position)
    if (page.length !== due) throw new Error(`${page.length} messages were shown from ${position} on, not ${due}.`)
    for (const [index, message] of page.entries()) {
      const identity = log[position + index]
      const same = keyOf(identityOf(message.payload)) === keyOf(identity) && message.idempotencyKey === keyOf(identity)
      if (!same || message.position !== BigInt(position + index))
        throw new Error(`${message.idempotencyKey} is shown at ${message.position}, the log has ${keyOf(identity)}.`)
      if (message.messageId <= lastId) throw new Error(`Message id ${message.messageId} came after ${lastId}.`)
      lastId = message.messageId
    }
  }
}
