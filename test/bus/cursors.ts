import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach } from 'vitest'
import {
  type BusOptions,
  type Channel,
  type CursorOptions,
  createBus,
  type Delivery,
  type LocalBus,
  type SubscribeOptions,
  type Subscription,
} from '../../ts/bus/index.ts'
import { MemoryStore, type StoreWrite } from '../../ts/durability/index.ts'
import { LiminalError } from '../../ts/errors.ts'

/** What is closed after each test. */
export const buses = new Set<LocalBus>()

/** Closes, after each test, what it opened. */
export function closeBusesAfterEach(): void {
  afterEach(async () => {
    for (const bus of buses) {
      buses.delete(bus)
      await bus.close()
    }
  })
}

/** A store that counts checkpoints, and whose writes can be made to fail. */
export class CursorStore extends MemoryStore {
  /** Writes of cursors that were durable. */
  checkpoints = 0
  /** Writes of cursors fail with it while it is there. */
  failure: LiminalError | null = null

  override async write(changes: readonly StoreWrite[]): Promise<void> {
    const isCursor = changes.some((change) => 'key' in change && change.key.kind === 'cursor')
    if (isCursor && this.failure !== null) throw this.failure
    await super.write(changes)
    if (isCursor) this.checkpoints++
  }
}

export function storeFull(): LiminalError {
  return new LiminalError('STORE_FULL', 'The disk is full.')
}

/** A bus on a store, with a durable channel `orders`. */
export async function busOn(store: MemoryStore, options: Partial<BusOptions> = {}): Promise<LocalBus> {
  const bus = await createBus({ store, channels: [{ name: 'orders', durable: true }], ...options })
  buses.add(bus)
  return bus
}

/** The channel `orders` of a new bus, with so many messages, each of which is its position. */
export async function orders(
  count: number,
  store = new MemoryStore(),
  options: Partial<BusOptions> = {},
): Promise<{ bus: LocalBus; channel: Channel<number> }> {
  const bus = await busOn(store, options)
  const channel = bus.channel<number>('orders')
  await publish(channel, 0, count)
  return { bus, channel }
}

/** Publishes the numbers from `start` to `end` (not included). */
export async function publish(channel: Channel<number>, start: number, end: number): Promise<void> {
  await Promise.all(Array.from({ length: end - start }, (_, index) => channel.publish(start + index)))
}

/** A subscription with a cursor `billing` that is ready, and its iterator. */
export async function consume(
  channel: Channel<number>,
  options: SubscribeOptions = {},
  cursor: Partial<CursorOptions> = {},
): Promise<{ subscription: Subscription<number>; deliveries: AsyncIterator<Delivery<number>, undefined> }> {
  const subscription = channel.subscribe({ from: 'earliest', cursor: { name: 'billing', ...cursor }, ...options })
  await subscription.ready()
  return { subscription, deliveries: subscription[Symbol.asyncIterator]() }
}

/** The next `count` deliveries. With `accept: 'auto'` the last one is not accepted. */
export async function pull(
  deliveries: AsyncIterator<Delivery<number>, undefined>,
  count: number,
): Promise<Delivery<number>[]> {
  const pulled: Delivery<number>[] = []
  while (pulled.length < count) {
    const { value } = await deliveries.next()
    if (value === undefined) throw new Error(`The subscription ended after ${pulled.length} deliveries.`)
    pulled.push(value)
  }
  return pulled
}

/** Deliveries as text: `5` is message 5 for the first time, `5/2` for the second. */
export function said(deliveries: readonly Delivery<number>[]): string[] {
  return deliveries.map(({ value, position, attempt }) => {
    if (BigInt(value) !== position) throw new Error(`${value} came as ${position}.`)
    return attempt === 1 ? `${value}` : `${value}/${attempt}`
  })
}

/** Where cursor `billing` is in the store. */
export async function positionIn(bus: LocalBus): Promise<bigint | undefined> {
  return (await bus.administration.cursors('orders')).find(({ name }) => name === 'billing')?.position
}

/** Resolves once everything that needs no timer and no disk has happened: all of it is promises. */
export async function settled(): Promise<void> {
  for (let turns = 0; turns < 4; turns++) await new Promise((resolve) => setImmediate(resolve))
}

/** Resolves with what is said next on a diagnostics channel. */
export function nextSaid<Message>(name: string): Promise<Message> {
  return new Promise((resolve) => {
    const heard = (message: unknown): void => {
      unsubscribe(name, heard)
      // The diagnostics channel has one type of message.
      resolve(message as Message)
    }
    subscribe(name, heard)
  })
}
