import { describe, expect, it } from 'vitest'
import type { Delivery, Subscription } from '../../ts/bus/index.ts'
import {
  ACCEPT_CHECKPOINT,
  ACCEPT_EXTEND,
  ACCEPT_ONE,
  ACCEPT_TAKEN,
  ACK_POSITION,
  ALL_CAPABILITIES,
  Capability,
  type Frame,
  NO_POSITION,
  ReasonCode,
  SUBSCRIBE_TERMS,
  SUBSCRIBED_LOGGED,
} from '../../ts/protocol/index.ts'
import { failure, pair, settled, until } from './harness.ts'
import { deliver, type FrameOf, publishAck, type ScriptedPeer, subscribeAck } from './scripted-server.ts'

const WITHOUT_DURABLE = ALL_CAPABILITIES & ~Capability.DURABLE

async function subscribed(peer: ScriptedPeer, flags = SUBSCRIBED_LOGGED): Promise<FrameOf<'Subscribe'>> {
  const frame = await peer.expect('Subscribe')
  peer.send({ ...subscribeAck(frame.streamId, 1n), flags })
  return frame
}

/** A delivery of a log. */
function logged(streamId: number, position: number, attempt = 1): Frame {
  return { ...deliver(streamId, BigInt(position + 1), String(position)), flags: attempt - 1 }
}

function accept(streamId: number, referencedMessageId: string, flags = 0): Frame {
  return { type: 'Accept', flags, streamId, referencedMessageId }
}

async function take(subscription: Subscription<number>, count: number): Promise<Delivery<number>[]> {
  return pull(subscription[Symbol.asyncIterator](), count)
}

async function pull(iterator: AsyncIterator<Delivery<number>>, count: number): Promise<Delivery<number>[]> {
  const taken: Delivery<number>[] = []
  while (taken.length < count) taken.push((await iterator.next()).value)
  return taken
}

describe('a subscription to a log', () => {
  it('says where it begins, and which cursor it owns', async () => {
    const { bus, peer } = await pair()
    const channel = bus.channel('orders')
    channel.subscribe({ from: 'earliest' })
    channel.subscribe({ from: { position: 7n } })
    channel.subscribe({ from: { time: new Date(1_000) } })
    channel.subscribe({
      cursor: { name: 'billing', checkpoint: { every: 5 }, leaseMs: 50, maxAttempts: 3, deadLetter: 'dead' },
      accept: 'each',
    })
    // A handler accepts when it is done, whatever the options say.
    channel.subscribe(() => {}, { cursor: 'audit', accept: 'each' })
    channel.subscribe()
    const seen = []
    for (let left = 6; left > 0; left--) {
      const { flags, channel: field } = await peer.expect('Subscribe')
      expect(flags).toBe(SUBSCRIBE_TERMS)
      seen.push(field)
    }
    expect(seen).toEqual([
      'orders\0{"from":"earliest"}',
      'orders\0{"from":{"position":"7"}}',
      'orders\0{"from":{"time":1000}}',
      'orders\0{"from":"latest","checkpoint":{"every":5},"leaseMs":50,"maxAttempts":3,"deadLetter":"dead","leaseBegins":"taken","cursor":"billing","accept":"each"}',
      'orders\0{"from":"latest","leaseBegins":"taken","cursor":"audit"}',
      'orders',
    ])
  })

  it('has positions and attempts only where the server says that they are in the frames', async () => {
    const { bus, peer } = await pair()
    const one = bus.channel<number>('orders').subscribe({ cursor: 'billing' })
    const { streamId } = await subscribed(peer)
    peer.send(logged(streamId, 4), logged(streamId, 2, 3))
    const [first, second] = await take(one, 2)
    expect([first.position, first.attempt, first.sequence]).toEqual([4n, 1, 1n])
    expect([second.position, second.attempt, second.sequence]).toEqual([2n, 3, 2n])
    const other = bus.channel<number>('ticks').subscribe()
    const plain = await subscribed(peer, 0)
    peer.send(deliver(plain.streamId, 1n, '9'))
    const [ninth] = await take(other, 1)
    expect([ninth.position, ninth.attempt, ninth.sequence]).toEqual([null, 1, 1n])
  })

  it.each([[{ from: 'earliest' as const }], [{ from: { position: 0n } }], [{ cursor: 'billing' }]])(
    'cannot be had of a server without the extension: %o',
    async (options) => {
      const { bus, peer } = await pair({}, WITHOUT_DURABLE)
      const subscription = bus.channel('orders').subscribe(options)
      const error = await failure(subscription.ready(), 'NOT_SUPPORTED')
      expect(error.message).toContain('DURABLE')
      await settled(peer)
    },
  )

  it('is an ordinary one from the latest on there', async () => {
    const { bus, peer } = await pair({}, WITHOUT_DURABLE)
    bus.channel('orders').subscribe({ from: 'latest', accept: 'each' })
    expect(await peer.expect('Subscribe')).toMatchObject({ flags: 0, channel: 'orders' })
  })
})

describe('what is said of deliveries', () => {
  it('moves the window by how many came, wherever they are in the log', async () => {
    const { bus, peer } = await pair()
    const subscription = bus
      .channel<number>('orders')
      .subscribe({ from: 'earliest', maxInFlight: 4, accept: 'explicit' })
    const { streamId } = await subscribed(peer)
    peer.send(logged(streamId, 10), logged(streamId, 500), logged(streamId, 501))
    const [first, second] = await take(subscription, 3)
    first.accept()
    await settled(peer)
    second.accept()
    expect(await peer.next()).toEqual(accept(streamId, '501'))
  })

  it('is told to a cursor within the turn, once for all that was accepted', async () => {
    const { bus, peer } = await pair()
    const subscription = bus.channel<number>('orders').subscribe({ cursor: 'billing', accept: 'explicit' })
    const { streamId } = await subscribed(peer)
    peer.send(logged(streamId, 0), logged(streamId, 1), logged(streamId, 0, 2))
    const [first, second, again] = await take(subscription, 3)
    first.accept()
    second.accept()
    expect(await peer.next()).toEqual(accept(streamId, '2'))
    expect(await peer.next()).toEqual(accept(streamId, '1.1', ACCEPT_TAKEN))
    again.accept()
    expect(await peer.next()).toEqual(accept(streamId, '1.1'))
  })

  it('begins, for a cursor, with what the subscriber has: told once a turn, unless it is accepted by then', async () => {
    const { bus, peer } = await pair()
    const subscription = bus.channel<number>('orders').subscribe({ cursor: 'billing', accept: 'explicit' })
    const { streamId } = await subscribed(peer)
    for (let position = 0; position < 6; position++) peer.send(logged(streamId, position))
    const iterator = subscription[Symbol.asyncIterator]()
    const [, , third] = await pull(iterator, 3)
    expect(await peer.next()).toEqual(accept(streamId, '3', ACCEPT_TAKEN))
    const [, fifth] = await pull(iterator, 2)
    third.accept()
    expect(await peer.next()).toEqual(accept(streamId, '3'))
    expect(await peer.next()).toEqual(accept(streamId, '5', ACCEPT_TAKEN))
    const [sixth] = await pull(iterator, 1)
    sixth.accept()
    expect(await peer.next()).toEqual(accept(streamId, '6'))
    fifth.accept()
    await settled(peer)
  })

  it('says what the subscriber has before it leaves, and before a lease begins anew', async () => {
    const { bus, peer } = await pair()
    const subscription = bus.channel<number>('orders').subscribe({ cursor: 'billing', accept: 'each' })
    const { streamId } = await subscribed(peer)
    for (let position = 0; position < 3; position++) peer.send(logged(streamId, position))
    const iterator = subscription[Symbol.asyncIterator]()
    const [first, second] = await pull(iterator, 2)
    second.extend()
    first.accept()
    await pull(iterator, 1)
    const closed = subscription.close()
    expect(await peer.next()).toEqual(accept(streamId, '2', ACCEPT_TAKEN))
    expect(await peer.next()).toEqual(accept(streamId, '2', ACCEPT_EXTEND))
    expect(await peer.next()).toEqual(accept(streamId, '1', ACCEPT_ONE))
    expect(await peer.next()).toEqual(accept(streamId, '3', ACCEPT_TAKEN))
    peer.send(await peer.expect('Unsubscribe'))
    await closed
  })

  it('is said before each delivery where attempts are limited, and what was accepted before it', async () => {
    const { bus, peer } = await pair()
    const cursor = { name: 'billing', maxAttempts: 3 }
    const subscription = bus.channel<number>('orders').subscribe({ cursor })
    const { streamId } = await subscribed(peer)
    peer.send(logged(streamId, 0), logged(streamId, 1), logged(streamId, 2))
    await take(subscription, 2)
    for (const [id, flags] of [
      ['1', ACCEPT_TAKEN],
      ['1', 0],
      ['2', ACCEPT_TAKEN],
    ] as const)
      expect(await peer.next()).toEqual(accept(streamId, id, flags))
  })

  it('is told one by one if each is accepted for itself', async () => {
    const { bus, peer } = await pair()
    const subscription = bus.channel<number>('orders').subscribe({ from: 'earliest', accept: 'each' })
    const { streamId } = await subscribed(peer)
    peer.send(logged(streamId, 0), logged(streamId, 1))
    const [first, second] = await take(subscription, 2)
    second.accept()
    second.accept()
    first.accept()
    expect(await peer.next()).toEqual(accept(streamId, '2', ACCEPT_ONE))
    expect(await peer.next()).toEqual(accept(streamId, '1', ACCEPT_ONE))
  })

  it('counts if each is accepted for itself and there is no log', async () => {
    const { bus, peer } = await pair()
    const subscription = bus.channel<number>('ticks').subscribe({ accept: 'each', maxInFlight: 2 })
    const { streamId } = await subscribed(peer, 0)
    peer.send(deliver(streamId, 1n, '1'), deliver(streamId, 2n, '2'))
    const [, second] = await take(subscription, 2)
    second.accept()
    expect(await peer.next()).toEqual(accept(streamId, '1'))
  })

  it('hands back, delays and extends for a cursor', async () => {
    const { bus, peer } = await pair()
    const subscription = bus.channel<number>('orders').subscribe({ cursor: 'billing', accept: 'explicit' })
    const { streamId } = await subscribed(peer)
    peer.send(logged(streamId, 0), logged(streamId, 1, 2), logged(streamId, 2), logged(streamId, 3))
    const [first, second, third, fourth] = await take(subscription, 4)
    first.extend()
    first.reject({ reason: 'no such customer' })
    second.reject({ delayMs: 250 })
    third.reject({ delayMs: 250, reason: 'busy' })
    fourth.accept()
    expect(await peer.next()).toEqual(accept(streamId, '4', ACCEPT_TAKEN))
    expect(await peer.next()).toEqual(accept(streamId, '1', ACCEPT_EXTEND))
    const rejection = { flags: 0, streamId }
    expect(await peer.next()).toEqual({
      ...rejection,
      type: 'Reject',
      referencedMessageId: '1',
      reason: 'no such customer',
    })
    expect(await peer.next()).toEqual({ ...rejection, type: 'Defer', referencedMessageId: '2.1', reason: '250' })
    expect(await peer.next()).toEqual({ ...rejection, type: 'Defer', referencedMessageId: '3', reason: '250 busy' })
    expect(await peer.next()).toEqual(accept(streamId, '4'))
  })

  it('is acceptance where there is no cursor to hand anything back to', async () => {
    const { bus, peer } = await pair()
    const subscription = bus
      .channel<number>('orders')
      .subscribe({ from: 'earliest', maxInFlight: 1, accept: 'explicit' })
    const { streamId } = await subscribed(peer)
    peer.send(logged(streamId, 0))
    const [first] = await take(subscription, 1)
    first.extend()
    first.reject()
    expect(await peer.next()).toEqual(accept(streamId, '1'))
  })

  it('is told before the subscription is given up', async () => {
    const { bus, peer } = await pair()
    const subscription = bus.channel<number>('orders').subscribe({ cursor: 'billing', accept: 'explicit' })
    const { streamId } = await subscribed(peer)
    peer.send(logged(streamId, 0))
    const [first] = await take(subscription, 1)
    first.accept()
    const closing = subscription.close()
    expect(await peer.next()).toEqual(accept(streamId, '1'))
    peer.send(await peer.expect('Unsubscribe'))
    await closing
  })

  it('is told before the bus is closed', async () => {
    const { bus, peer } = await pair()
    const subscription = bus.channel<number>('orders').subscribe({ cursor: 'billing', accept: 'explicit' })
    const { streamId } = await subscribed(peer)
    peer.send(logged(streamId, 0))
    const [first] = await take(subscription, 1)
    first.accept()
    const closing = bus.close()
    expect(await peer.next()).toEqual(accept(streamId, '1'))
    await peer.expect('Disconnect')
    await closing
  })
})

describe('a checkpoint', () => {
  it('resolves when the server has written down what was accepted before', async () => {
    const { bus, peer } = await pair()
    const subscription = bus.channel<number>('orders').subscribe({ cursor: 'billing', accept: 'explicit' })
    const { streamId } = await subscribed(peer)
    peer.send(logged(streamId, 0))
    const [first] = await take(subscription, 1)
    first.accept()
    let written = false
    const checkpoint = subscription.checkpoint().then(() => {
      written = true
    })
    expect(await peer.next()).toEqual(accept(streamId, '1'))
    const asked = await peer.expect('Accept')
    expect(asked.flags).toBe(ACCEPT_CHECKPOINT)
    await settled(peer)
    expect(written).toBe(false)
    peer.send(asked)
    await checkpoint
  })

  it('fails with what the server says, and the subscription goes on', async () => {
    const { bus, peer } = await pair()
    const subscription = bus.channel<number>('orders').subscribe({ cursor: 'billing' })
    const { streamId } = await subscribed(peer)
    await subscription.ready()
    const checkpoint = failure(subscription.checkpoint(), 'STORE_FULL')
    const { referencedMessageId } = await peer.expect('Accept')
    const reason = `${ReasonCode.StoreFull} The disk is full.`
    peer.send({ type: 'Reject', flags: ACCEPT_CHECKPOINT, streamId, referencedMessageId, reason })
    expect((await checkpoint).message).toBe('The disk is full.')
    peer.send(logged(streamId, 0))
    await take(subscription, 1)
  })

  it('fails with its connection, and until there is another one', async () => {
    const { bus, peer } = await pair({ reconnect: false })
    const subscription = bus.channel<number>('orders').subscribe({ cursor: 'billing' })
    await subscribed(peer)
    await subscription.ready()
    const checkpoint = failure(subscription.checkpoint(), 'CONNECTION_LOST')
    await peer.expect('Accept')
    peer.kill()
    await checkpoint
  })

  it('is nothing without a cursor', async () => {
    const { bus, peer } = await pair()
    const subscription = bus.channel<number>('orders').subscribe({ from: 'earliest' })
    await subscribed(peer)
    await subscription.ready()
    await subscription.checkpoint()
    await settled(peer)
  })
})

describe('after a reconnect', () => {
  it('a subscription goes on behind what was handed out last', async () => {
    const { server, bus, peer } = await pair()
    const subscription = bus.channel<number>('orders').subscribe({ from: 'earliest' })
    const { streamId } = await subscribed(peer)
    peer.send(logged(streamId, 0), logged(streamId, 1), logged(streamId, 2))
    const iterator = subscription[Symbol.asyncIterator]()
    expect((await iterator.next()).value.value).toBe(0)
    expect((await iterator.next()).value.value).toBe(1)
    await settled(peer)
    const resumed = until(bus, 'resumed')
    peer.kill()
    const second = await server.connection()
    await second.accept()
    const again = await subscribed(second)
    expect(again.channel).toBe('orders\0{"from":{"position":"2"}}')
    expect(await resumed).toEqual({ type: 'resumed', channels: ['orders'] })
    second.send(logged(again.streamId, 2))
    const { value } = await iterator.next()
    expect([value.value, value.sequence]).toEqual([2, 3n])
  })

  it('a subscription from the latest on goes on where the server said that it began', async () => {
    const { server, bus, peer } = await pair()
    bus.channel<number>('orders').subscribe()
    const { streamId } = await subscribed(peer)
    peer.send(accept(streamId, '90'))
    await settled(peer)
    peer.kill()
    const second = await server.connection()
    await second.accept()
    expect((await second.expect('Subscribe')).channel).toBe('orders\0{"from":{"position":"90"}}')
  })

  it('a cursor is asked for by its name, and what waited is handed out by it again', async () => {
    const { server, bus, peer } = await pair()
    const subscription = bus.channel<number>('orders').subscribe({ cursor: 'billing', accept: 'explicit' })
    const { streamId } = await subscribed(peer)
    peer.send(logged(streamId, 0), logged(streamId, 1))
    const iterator = subscription[Symbol.asyncIterator]()
    const first = (await iterator.next()).value
    expect(await peer.next()).toEqual(accept(streamId, '1', ACCEPT_TAKEN))
    peer.kill()
    const second = await server.connection()
    await second.accept()
    const again = await subscribed(second)
    expect(again.channel).toBe('orders\0{"from":"latest","leaseBegins":"taken","cursor":"billing"}')
    await settled(second)
    // The cursor has it again: what is said of its earlier attempt is for nobody.
    first.accept()
    first.reject()
    await settled(second)
    second.send(logged(again.streamId, 0, 2))
    const { value } = await iterator.next()
    expect([value.position, value.attempt]).toEqual([0n, 2])
    value.accept()
    expect(await second.next()).toEqual(accept(again.streamId, '1.1'))
  })

  it('a cursor that somebody else took ends it, and what waited is his', async () => {
    const { bus, peer } = await pair()
    const subscription = bus.channel<number>('orders').subscribe({ cursor: 'billing' })
    const { streamId } = await subscribed(peer)
    peer.send(logged(streamId, 0), logged(streamId, 1))
    const iterator = subscription[Symbol.asyncIterator]()
    await iterator.next()
    peer.send({ type: 'SubscribeError', flags: 0, streamId, reasonCode: ReasonCode.CursorFenced, message: 'Taken.' })
    await failure(subscription.closed, 'CURSOR_FENCED')
    await failure(iterator.next(), 'CURSOR_FENCED')
  })
})

describe('the receipt of a durable publish', () => {
  it('has the position that the server announced, and counts up from there', async () => {
    const { bus, peer } = await pair()
    const channel = bus.channel('orders')
    const calls = Array.from({ length: 5 }, () => channel.publish(1))
    const { streamId } = await peer.expect('Publish')
    const position = (value: bigint): Frame => publishAck(streamId, value, ACK_POSITION)
    peer.send(
      publishAck(streamId, 1n),
      position(40n),
      publishAck(streamId, 2n),
      publishAck(streamId, 3n),
      position(7n),
      publishAck(streamId, 2n, 0x80),
      position(NO_POSITION),
      publishAck(streamId, 9n),
    )
    const receipts = await Promise.all(calls)
    expect(receipts.map(({ position }) => position)).toEqual([null, 40n, 41n, 7n, null])
    expect(receipts.map(({ duplicate }) => duplicate)).toEqual([false, false, false, true, false])
  })

  it('is not counted on from one connection to the next', async () => {
    const { server, bus, peer } = await pair()
    const channel = bus.channel('orders')
    const first = channel.publish(1)
    const { streamId } = await peer.expect('Publish')
    peer.send(publishAck(streamId, 3n, ACK_POSITION), publishAck(streamId, 1n))
    expect((await first).position).toBe(3n)
    peer.kill()
    const second = await server.connection()
    await second.accept()
    const next = channel.publish(2)
    second.send(publishAck((await second.expect('Publish')).streamId, 2n))
    expect((await next).position).toBe(null)
  })

  it('is no answer to what was sent without one', async () => {
    const { bus, peer } = await pair({}, ALL_CAPABILITIES & ~Capability.UNACKNOWLEDGED_PUBLISH)
    const channel = bus.channel('orders')
    channel.send(1)
    const { streamId } = await peer.expect('Publish')
    peer.send(publishAck(streamId, 3n, ACK_POSITION))
    await settled(peer)
    expect(channel.sendCounts).toMatchObject({ sent: 1, failed: 0 })
    peer.kill()
    await until(bus, 'disconnected')
    expect(channel.sendCounts).toMatchObject({ sent: 1, failed: 1 })
  })
})
