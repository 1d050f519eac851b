import { describe, expect, it } from 'vitest'
import type { Delivery } from '../../ts/bus/index.ts'
import { Capability } from '../../ts/protocol/index.ts'
import { failure, type Pair, pair, settled, streams, until } from './harness.ts'
import { deliver, type FrameOf, type ScriptedPeer, subscribeAck } from './scripted-server.ts'

const NO_CREDITS = Capability.CONFIRMATIONS | Capability.REASONS

async function subscribed(peer: ScriptedPeer, id = 1n): Promise<FrameOf<'Subscribe'>> {
  const frame = await peer.expect('Subscribe')
  peer.send(subscribeAck(frame.streamId, id))
  return frame
}

function numbered(streamId: number, from: number, to: number): ReturnType<typeof deliver>[] {
  return Array.from({ length: to - from + 1 }, (_, index) =>
    deliver(streamId, BigInt(from + index), String(from + index)),
  )
}

describe('a subscription', () => {
  it('says what it wants and is ready when the server agrees', async () => {
    const { bus, peer } = await pair()
    const acceptedSchemas = [new Uint8Array(32).fill(7)]
    const subscription = bus.channel('ticks').subscribe({ maxInFlight: 9, acceptedSchemas })
    let ready = false
    void subscription.ready().then(() => {
      ready = true
    })
    const frame = await peer.expect('Subscribe')
    expect(frame).toMatchObject({ channel: 'ticks', maxInFlight: 9 })
    expect(frame.acceptedSchemas.map((id) => [...id])).toEqual([[...acceptedSchemas[0]]])
    await settled(peer)
    expect(ready).toBe(false)
    peer.send(subscribeAck(frame.streamId, 1n))
    await subscription.ready()
  })

  it('has windows of 16,384 for a loop and 65,536 for a handler', async () => {
    const { bus, peer } = await pair()
    bus.channel('ticks').subscribe()
    bus.channel('ticks').subscribe(() => {})
    expect((await peer.expect('Subscribe')).maxInFlight).toBe(16_384)
    expect((await peer.expect('Subscribe')).maxInFlight).toBe(65_536)
  })

  it('hands out what comes in the same piece as the answer', async () => {
    const { bus, peer } = await pair()
    const subscription = bus.channel<number>('ticks').subscribe()
    const { streamId } = await peer.expect('Subscribe')
    peer.send(subscribeAck(streamId, 1n), ...numbered(streamId, 1, 3), deliver(streamId + 2, 1n, 'nobody'))
    const seen: [bigint, number][] = []
    const iterator = subscription[Symbol.asyncIterator]()
    while (seen.length < 3) {
      const { value } = await iterator.next()
      seen.push([value.sequence, value.value])
    }
    expect(seen).toEqual([
      [1n, 1],
      [2n, 2],
      [3n, 3],
    ])
  })

  it('moves its window by cumulative Accepts, half of it at a time', async () => {
    const { bus, peer } = await pair()
    let release: () => void = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const taken: number[] = []
    bus.channel<number>('ticks').subscribe(
      async (deliveries) => {
        taken.push(...deliveries.map((delivery) => delivery.value))
        await held
      },
      { maxInFlight: 8 },
    )
    const { streamId } = await subscribed(peer)
    peer.send(...numbered(streamId, 1, 3))
    await settled(peer)
    expect(taken).toEqual([1, 2, 3])
    peer.send(deliver(streamId, 4n, '4'))
    await settled(peer)
    release()
    expect(await peer.expect('Accept')).toMatchObject({ streamId, referencedMessageId: '4' })
    peer.send(...numbered(streamId, 5, 7))
    await settled(peer)
    expect(taken).toEqual([1, 2, 3, 4, 5, 6, 7])
  })

  it('works with a window of one', async () => {
    const { bus, peer } = await pair()
    const subscription = bus.channel<number>('ticks').subscribe({ maxInFlight: 1 })
    const { streamId } = await subscribed(peer)
    const iterator = subscription[Symbol.asyncIterator]()
    let next = iterator.next()
    for (let sequence = 1; sequence <= 5; sequence++) {
      peer.send(deliver(streamId, BigInt(sequence), String(sequence)))
      expect((await next).value?.value).toBe(sequence)
      next = iterator.next()
      expect((await peer.expect('Accept')).referencedMessageId).toBe(String(sequence))
    }
    // Settles with the end of the test.
    next.catch(() => {})
  })

  it('tells a server that stands still of less than half, too', async () => {
    const { bus, peer } = await pair()
    const subscription = bus.channel<number>('ticks').subscribe({ maxInFlight: 4, accept: 'explicit' })
    const { streamId } = await subscribed(peer)
    peer.send(...numbered(streamId, 1, 4))
    const iterator = subscription[Symbol.asyncIterator]()
    const deliveries: Delivery<number>[] = []
    while (deliveries.length < 4) deliveries.push((await iterator.next()).value)
    deliveries[0].accept()
    expect((await peer.expect('Accept')).referencedMessageId).toBe('1')
  })

  it('sends no Accepts to a server that has no credits', async () => {
    const { bus, peer } = await pair({}, NO_CREDITS)
    const taken: number[] = []
    bus.channel<number>('ticks').subscribe((deliveries) => void taken.push(...deliveries.map(({ value }) => value)), {
      maxInFlight: 2,
    })
    const { streamId } = await subscribed(peer)
    peer.send(...numbered(streamId, 1, 50))
    await settled(peer)
    expect(taken).toHaveLength(50)
  })

  it('stops reading from a server without credits while too much waits, and goes on after', async () => {
    const { bus, peer } = await pair({}, NO_CREDITS)
    let release: () => void = () => {}
    let held: Promise<void> | null = new Promise((resolve) => {
      release = resolve
    })
    let count = 0
    let done: () => void = () => {}
    const all = new Promise<void>((resolve) => {
      done = resolve
    })
    const handler = async (deliveries: readonly Delivery<Uint8Array>[]): Promise<void> => {
      count += deliveries.length
      if (count === 160) done()
      await held
    }
    bus.channel<Uint8Array>('load', { payload: 'bytes' }).subscribe(handler, { maxInFlight: 1 })
    const { streamId } = await subscribed(peer)
    const mebibyte = new Uint8Array(1024 * 1024)
    for (let sequence = 1n; sequence <= 160n; sequence++) peer.send(deliver(streamId, sequence, mebibyte))
    // Bytes stay in the socket although the client has nothing else to do.
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (peer.socket.bytesWritten > 66 * 1024 * 1024) resolve()
        else setImmediate(look)
      }
      look()
    })
    expect(peer.socket.writableLength).toBeGreaterThan(0)
    held = null
    release()
    await all
    expect(peer.socket.writableLength).toBe(0)
  })

  it('ends with the error of a server that refuses it', async () => {
    const { bus, peer, core } = await pair()
    const subscription = bus.channel('ticks').subscribe()
    const { streamId } = await peer.expect('Subscribe')
    peer.send({ type: 'SubscribeError', flags: 0, streamId, reasonCode: 8, message: 'Another schema.' })
    await failure(subscription.ready(), 'SchemaIncompatible')
    await failure(subscription.closed, 'SchemaIncompatible')
    expect([streams(core), core.restorables.size]).toEqual([0, 0])
  })

  it.each([
    [0x8002, 'SUBSCRIPTION_SHED'],
    [0xffff, 'SUBSCRIPTION_SHED'],
    [0x0102, 'CHANNEL_CLOSED'],
  ] as const)('that the server ends with 0x%s is over, and does not come back', async (reasonCode, code) => {
    const { bus, peer, core, server } = await pair()
    const subscription = bus.channel<number>('ticks').subscribe()
    const { streamId } = await subscribed(peer)
    await subscription.ready()
    peer.send(deliver(streamId, 1n, '1'))
    peer.send({ type: 'SubscribeError', flags: 0, streamId, reasonCode, message: 'Too slow.' })
    const iterator = subscription[Symbol.asyncIterator]()
    expect((await iterator.next()).value?.value).toBe(1)
    await failure(() => iterator.next(), code)
    await failure(subscription.closed, code)
    expect([streams(core), core.restorables.size]).toEqual([0, 0])
    peer.kill()
    const second = await server.connection()
    await second.accept()
    await settled(second)
  })

  it('unsubscribes, waits for the confirmation and ignores what still comes', async () => {
    const { bus, peer, core } = await pair()
    const subscription = bus.channel<number>('ticks').subscribe()
    const { streamId } = await subscribed(peer, 77n)
    await subscription.ready()
    let closed = false
    const closing = subscription.close().then(() => {
      closed = true
    })
    const frame = await peer.expect('Unsubscribe')
    expect(frame).toMatchObject({ streamId, subscriptionId: 77n, flags: 0x40 })
    peer.send(deliver(streamId, 1n, '1'))
    await settled(peer)
    expect(closed).toBe(false)
    peer.send(frame)
    await closing
    await subscription.closed
    peer.send(deliver(streamId, 2n, '2'))
    await settled(peer)
    expect([streams(core), core.restorables.size]).toEqual([0, 0])
  })

  it('that is closed before the answer unsubscribes with it', async () => {
    const { bus, peer, core } = await pair()
    const subscription = bus.channel<number>('ticks').subscribe()
    const { streamId } = await peer.expect('Subscribe')
    await subscription.close()
    peer.send(subscribeAck(streamId, 5n), deliver(streamId, 1n, '1'))
    const frame = await peer.expect('Unsubscribe')
    expect(frame.subscriptionId).toBe(5n)
    peer.send(frame)
    await settled(peer)
    expect(streams(core)).toBe(0)
  })

  it('gives up in its time when the server says nothing', async () => {
    const { bus, peer, core } = await pair({ requestTimeoutMs: 20 })
    const subscription = bus.channel('ticks').subscribe()
    await failure(subscription.ready(), 'TIMEOUT')
    const { streamId } = await peer.expect('Subscribe')
    peer.send(subscribeAck(streamId, 3n))
    const frame = await peer.expect('Unsubscribe')
    expect(frame.subscriptionId).toBe(3n)
    peer.send(frame)
    await settled(peer)
    expect([streams(core), core.restorables.size]).toEqual([0, 0])
  })
})

describe('after a reconnect, a subscription', () => {
  async function lose({ bus, server, peer }: Pair): Promise<ScriptedPeer> {
    peer.kill()
    const second = await server.connection()
    await second.accept()
    await until(bus, 'connected')
    return second
  }

  it('subscribes again, says so, and counts from 1', async () => {
    const both = await pair()
    const { bus, peer } = both
    const subscription = bus.channel<number>('ticks').subscribe({ accept: 'explicit', maxInFlight: 2 })
    const other = bus.channel('other').subscribe()
    const first = await subscribed(peer, 1n)
    await subscribed(peer, 2n)
    await Promise.all([subscription.ready(), other.ready()])
    peer.send(...numbered(first.streamId, 1, 2))
    const iterator = subscription[Symbol.asyncIterator]()
    const old = [(await iterator.next()).value, (await iterator.next()).value]

    const resubscribed = until(bus, 'resubscribed')
    const second = await lose(both)
    const { streamId } = await subscribed(second, 8n)
    await subscribed(second, 9n)
    expect(await resubscribed).toEqual({ type: 'resubscribed', channels: ['ticks', 'other'] })

    // What was handed out before moves the local window and not that of the new subscription.
    second.send(...numbered(streamId, 1, 2))
    old[1]?.accept()
    const fresh = [(await iterator.next()).value, (await iterator.next()).value]
    expect(fresh.map((delivery) => delivery?.sequence)).toEqual([1n, 2n])
    await settled(second)
    fresh[0]?.accept()
    expect((await second.expect('Accept')).referencedMessageId).toBe('1')
  })

  it('ends with the error of a server that refuses it now, and leaves the others alone', async () => {
    const both = await pair()
    const { bus, peer } = both
    const refused = bus.channel('ticks').subscribe()
    const other = bus.channel<number>('other').subscribe()
    await subscribed(peer, 1n)
    await subscribed(peer, 2n)
    await Promise.all([refused.ready(), other.ready()])
    const resubscribed = until(bus, 'resubscribed')
    const second = await lose(both)
    const { streamId } = await second.expect('Subscribe')
    second.send({ type: 'SubscribeError', flags: 0, streamId, reasonCode: 0x0101, message: 'No such channel.' })
    await failure(refused.closed, 'CHANNEL_NOT_FOUND')
    await subscribed(second, 2n)
    expect(await resubscribed).toEqual({ type: 'resubscribed', channels: ['other'] })
  })

  it('that was closed meanwhile stays closed', async () => {
    const both = await pair()
    const { bus, peer } = both
    const subscription = bus.channel('ticks').subscribe()
    await subscribed(peer)
    await subscription.ready()
    peer.kill()
    await until(bus, 'disconnected')
    await subscription.close()
    await subscription.closed
    const second = await both.server.connection()
    await second.accept()
    await settled(second)
  })

  it('outlives a long time without a connection', async () => {
    const { bus, peer, server } = await pair({ requestTimeoutMs: 500 })
    const subscription = bus.channel('ticks').subscribe()
    await subscribed(peer)
    await subscription.ready()
    const back = until(bus, 'resubscribed')
    peer.kill()
    await until(bus, 'disconnected')
    // The server takes longer to come back than any request waits.
    const second = await server.connection()
    await failure(bus.channel('ticks').publish(1), 'TIMEOUT')
    await second.accept()
    await subscribed(second)
    await back
  })
})
