import type { ChannelSubscription } from '../channel/index.ts'
import { codec } from '../codec/index.ts'
import type { PayloadKind } from '../payload.ts'
import type { Subscription } from './bus.ts'
import type { LocalContext } from './local-context.ts'
import { LocalSink } from './local-sink.ts'
import type { SubscribeSettings } from './subscribe-arguments.ts'
import { SubscriptionQueue } from './subscription-queue.ts'

/** Subscribes to a channel of a bus in this process. What prevents it ends the subscription: `ready()`, `closed` and the iterator say so. */
export function subscribeLocally<T>(
  context: LocalContext,
  name: string,
  payload: PayloadKind,
  settings: SubscribeSettings<T>,
): Subscription<T> {
  const { handler, maxInFlight, accept, from, acceptedSchemas, signal } = settings
  let place: ChannelSubscription | null = null
  const queue: SubscriptionQueue<T> = new SubscriptionQueue<T>({
    channel: name,
    payload,
    maxInFlight,
    accept,
    signal,
    handler,
    onAccept: null,
    onTake: () => sink.update(),
    onClose: () => {
      place?.unsubscribe()
      sink.close()
    },
  })
  const sink = new LocalSink(queue, context.subscriptionQueue)
  if (!queue.open) return queue.subscription
  try {
    const channel = context.core.channels.get(name)
    codec.negotiateSchema(channel.schemaId, acceptedSchemas)
    place = channel.subscribe(sink, from)
    queue.opened()
  } catch (error) {
    queue.fail(error)
  }
  return queue.subscription
}
