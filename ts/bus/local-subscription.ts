import type { ChannelSubscription, CursorDemand, CursorSubscription } from '../channel/index.ts'
import { codec } from '../codec/index.ts'
import { Deferred } from '../deferred.ts'
import type { PayloadKind } from '../payload.ts'
import { type PackedDelivery, partsOfMark } from './delivery.ts'
import type { LocalContext } from './local-context.ts'
import { LocalSink } from './local-sink.ts'
import type { SubscribeSettings } from './subscribe-arguments.ts'
import type { Subscription } from './subscription.ts'
import { MOST_UNANSWERED, SubscriptionQueue } from './subscription-queue.ts'

/** Subscribes to a channel of a bus in this process. What prevents it ends the subscription: `ready()`, `closed` and the iterator say so. */
export function subscribeLocally<T>(
  context: LocalContext,
  name: string,
  payload: PayloadKind,
  settings: SubscribeSettings<T>,
): Subscription<T> {
  return settings.cursor === null
    ? subscribePlain(context, name, payload, settings)
    : subscribeWithCursor(context, name, payload, settings, { ...settings.cursor, start: settings.from })
}

function subscribePlain<T>(
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

/**
 * What is handed out, accepted, handed back and extended goes to the cursor, which redelivers the rest. What waits in the queue has no lease, and nobody saw it: when the subscription ends it is
 * as if it had never left the log.
 */
function subscribeWithCursor<T>(
  context: LocalContext,
  name: string,
  payload: PayloadKind,
  settings: SubscribeSettings<T>,
  cursor: Omit<CursorDemand, 'maxInFlight' | 'leaseBegins' | 'acquired'>,
): Subscription<T> {
  const { handler, maxInFlight, accept, acceptedSchemas, signal } = settings
  const acceptsEach = accept === 'each' && handler === null
  let owned: CursorSubscription | null = null
  const acquired = new Deferred<void>()
  const queue: SubscriptionQueue<T> = new SubscriptionQueue<T>({
    channel: name,
    payload,
    // The cursor gives no more than its window, in which a lease that ended makes room. Past that, who never answers anything gets nothing any more.
    maxInFlight: MOST_UNANSWERED,
    accept,
    signal,
    handler,
    onAccept: (mark) => {
      const { position, attempt } = placeOf(mark)
      if (acceptsEach) owned?.acceptOne(position)
      else owned?.accept(position, attempt)
    },
    onReject: (mark, _epoch, _ordinal, options) => {
      const { position, attempt } = placeOf(mark)
      owned?.reject(position, { ...options, attempt })
    },
    onExtend: (mark) => {
      const { position, attempt } = placeOf(mark)
      owned?.extend(position, attempt)
    },
    onCheckpoint: async () => {
      await opening
      await owned?.checkpoint()
    },
    onHandOut: (deliveries) => {
      for (const { position, count } of stretchesOf(deliveries)) owned?.seen(position, count)
    },
    onTake: () => sink.update(),
    onClose: async (how) => {
      sink.close()
      // Not until that is written down: a disk that is full would keep it from ending.
      await acquired.promise
      await owned?.close(how)
    },
  })
  const sink = new LocalSink(queue, context.subscriptionQueue, 'drop')
  const open = async (): Promise<void> => {
    if (!queue.open) return
    try {
      const channel = context.core.channels.get(name)
      codec.negotiateSchema(channel.schemaId, acceptedSchemas)
      await channel.subscribeCursor(sink, {
        ...cursor,
        maxInFlight,
        leaseBegins: 'seen',
        acquired: (subscription) => {
          owned = subscription
          acquired.resolve()
        },
      })
      queue.opened()
    } catch (error) {
      queue.fail(error)
    } finally {
      acquired.resolve()
    }
  }
  const opening = open()
  return queue.subscription
}

/** Deliveries, of which those of consecutive positions are one. */
function stretchesOf(
  deliveries: readonly PackedDelivery<unknown>[],
): readonly { readonly position: bigint; readonly count: number }[] {
  const stretches: { position: bigint; count: number }[] = []
  let next = -1
  for (const { mark } of deliveries) {
    const { sequence } = partsOfMark(mark)
    const last = stretches[stretches.length - 1]
    if (last !== undefined && sequence === next) last.count++
    else stretches.push({ position: BigInt(sequence - 1), count: 1 })
    next = sequence + 1
  }
  return stretches
}

/** Attempts past the 255th cannot be told apart. */
function placeOf(mark: number): { readonly position: bigint; readonly attempt: number | undefined } {
  const { sequence, flags } = partsOfMark(mark)
  return { position: BigInt(sequence - 1), attempt: flags < LAST_FLAGS ? flags + 1 : undefined }
}

const LAST_FLAGS = 255
