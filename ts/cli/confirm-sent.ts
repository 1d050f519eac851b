import type { Channel } from '../bus/index.ts'
import { LiminalError } from '../errors.ts'

/**
 * Waits until the server has dealt with everything that was sent on a channel handle. It deals with a connection's frames in the order they came, so an answer to anything
 * asked now says that; a subscription asks without a trace.
 *
 * @throws LiminalError the last refusal, if there was one; what refuses the subscription, which refuses the messages too.
 */
export async function confirmSent(channel: Channel<Uint8Array>): Promise<void> {
  const subscription = channel.subscribe(() => undefined)
  try {
    await subscription.ready()
  } finally {
    await subscription.close()
  }
  const { sent, failed, lastError } = channel.sendCounts
  if (lastError === null) return
  const code = lastError instanceof LiminalError ? lastError.code : 'REMOTE_ERROR'
  const message = `${failed} of ${sent} messages were refused; of the last one: ${lastError.message}`
  throw new LiminalError(code, message, { cause: lastError })
}
