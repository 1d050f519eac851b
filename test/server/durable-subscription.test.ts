import { describe, expect, it } from 'vitest'
import { coreOf } from '../../ts/bus/index.ts'
import { MemoryStore } from '../../ts/durability/index.ts'
import {
  ACCEPT_CHECKPOINT,
  ACCEPT_EXTEND,
  ACCEPT_ONE,
  ACCEPT_TAKEN,
  CONFIRM,
  type Frame,
  ReasonCode,
  SUBSCRIBE_TERMS,
  SUBSCRIBED_LOGGED,
} from '../../ts/protocol/index.ts'
import type { BusServer } from '../../ts/server/index.ts'
import { eventually } from '../eventually.ts'
import { extendedPeer, plainPeer, startServer } from './fixture.ts'
import { GatedStore } from './gated-store.ts'
import { NO_SCHEMA, PING, publishFrame, type RawPeer, subscribeFrame, textOf } from './raw-peer.ts'

const channels = [{ name: 'orders', durable: true }, { name: 'ticks' }]

function start(store = new MemoryStore()): Promise<BusServer> {
  return startServer({ store, channels })
}

async function publish(server: BusServer, ...values: number[]): Promise<void> {
  const channel = server.bus.channel('orders')
  await Promise.all(values.map((value) => channel.publish(value)))
}

function subscribe(terms: object | null, streamId = 1, maxInFlight = 1_024, channel = 'orders'): Frame {
  const field = terms === null ? channel : `${channel}\0${JSON.stringify(terms)}`
  return { ...subscribeFrame(field, streamId, { maxInFlight }), flags: SUBSCRIBE_TERMS }
}

function answer(type: 'Accept', referencedMessageId: string, flags = 0): Frame {
  return { type, flags, streamId: 1, referencedMessageId }
}

function handBack(type: 'Reject' | 'Defer', referencedMessageId: string, reason: string | null): Frame {
  return { type, flags: 0, streamId: 1, referencedMessageId, reason }
}

/** The next deliveries, as `sequence.flags:payload`. */
async function delivered(peer: RawPeer, count: number): Promise<string[]> {
  const seen: string[] = []
  while (seen.length < count) {
    const frame = await peer.expect('Deliver')
    seen.push(`${frame.deliverySeq}.${frame.flags}:${textOf(frame)}`)
  }
  return seen
}

let clocks = 0

/** Leases of 20 ms that have begun are over: those of another cursor, which begin now, tell. */
async function endOfLeases(server: BusServer): Promise<void> {
  const clock = await extendedPeer(server)
  clock.send(subscribe({ from: 'earliest', cursor: `clock-${clocks++}`, leaseMs: 20 }))
  await clock.expect('SubscribeAck')
  expect((await delivered(clock, 6)).filter((delivery) => delivery.includes('.1:'))).toHaveLength(3)
  clock.send({ type: 'Disconnect', flags: 0, streamId: 0 })
  await clock.ended
}

function logOf(server: BusServer) {
  const log = coreOf(server.bus)?.channels.get('orders').log
  if (log === null || log === undefined) throw new Error('The channel has no log.')
  return log
}

describe('a subscription to a log', () => {
  it('is acknowledged as one, and its deliveries are numbered by their positions', async () => {
    const server = await start()
    await publish(server, 0, 1, 2)
    const peer = await extendedPeer(server)
    peer.send(subscribe({ from: { position: '1' } }))
    expect(await peer.expect('SubscribeAck')).toMatchObject({ flags: SUBSCRIBED_LOGGED, selectedSchema: NO_SCHEMA })
    expect(await delivered(peer, 2)).toEqual(['2.0:1', '3.0:2'])
    await publish(server, 3)
    expect(await delivered(peer, 1)).toEqual(['4.0:3'])
  })

  it('from the latest on is told where that is', async () => {
    const server = await start()
    await publish(server, 0, 1, 2)
    const peer = await extendedPeer(server)
    peer.send(subscribe(null))
    await peer.expect('SubscribeAck')
    expect(await peer.next()).toEqual(answer('Accept', '3'))
    await publish(server, 3)
    expect(await delivered(peer, 1)).toEqual(['4.0:3'])
  })

  it('begins at a time', async () => {
    const server = await start()
    await publish(server, 0)
    const peer = await extendedPeer(server)
    peer.send(subscribe({ from: { time: Date.now() + 60_000 } }), subscribe({ from: { time: 1 } }, 3))
    expect((await peer.expect('SubscribeAck')).streamId).toBe(1)
    expect((await peer.expect('SubscribeAck')).streamId).toBe(3)
    expect((await peer.expect('Deliver')).streamId).toBe(3)
  })

  it('gets no more than its window, which counts deliveries and not positions', async () => {
    const server = await start()
    await publish(server, 0, 1, 2, 3, 4, 5, 6)
    const peer = await extendedPeer(server)
    peer.send(subscribe({ from: 'earliest' }, 1, 2))
    await peer.expect('SubscribeAck')
    expect(await delivered(peer, 2)).toEqual(['1.0:0', '2.0:1'])
    expect(await peer.rest()).toEqual([])
    // What it would get next is removed meanwhile.
    await logOf(server).removeBefore(5n)
    peer.send(answer('Accept', '1'))
    expect(await delivered(peer, 1)).toEqual(['6.0:5'])
    expect(await peer.rest()).toEqual([])
    // Not sent, and accepted already.
    peer.send(answer('Accept', '7'), answer('Accept', '4'), answer('Accept', '1'), answer('Accept', 'x'))
    expect(await peer.rest()).toEqual([])
    peer.send(answer('Accept', '6'))
    expect(await delivered(peer, 1)).toEqual(['7.0:6'])
  })

  it('accepts one by one where it said so', async () => {
    const server = await start()
    await publish(server, 0, 1, 2, 3)
    const peer = await extendedPeer(server)
    peer.send(subscribe({ from: 'earliest', accept: 'each' }, 1, 2))
    await peer.expect('SubscribeAck')
    await delivered(peer, 2)
    peer.send(answer('Accept', '2', ACCEPT_ONE), answer('Accept', '2', ACCEPT_ONE))
    expect(await delivered(peer, 1)).toEqual(['3.0:2'])
    expect(await peer.rest()).toEqual([])
    peer.send(handBack('Reject', '1', null))
    expect(await delivered(peer, 1)).toEqual(['4.0:3'])
  })

  it('that does not read holds nobody up, and gets everything once it reads', async () => {
    const server = await start()
    const slow = await extendedPeer(server)
    slow.send(subscribe({ from: 'earliest' }, 1, 4))
    await slow.expect('SubscribeAck')
    const values = Array.from({ length: 5_000 }, (_, index) => index)
    await publish(server, ...values)
    const seen = await delivered(slow, 4)
    while (seen.length < values.length) {
      slow.send(answer('Accept', String(seen.length)))
      seen.push(...(await delivered(slow, Math.min(4, values.length - seen.length))))
    }
    expect(seen).toEqual(values.map((value) => `${value + 1}.0:${value}`))
  })

  it('of a peer that knows of none counts from 1, and is neither shed nor held', async () => {
    const server = await start()
    await publish(server, 0)
    const peer = await plainPeer(server)
    peer.send(subscribeFrame('orders', 1))
    expect(await peer.expect('SubscribeAck')).toMatchObject({ flags: 0 })
    await publish(server, 1, 2)
    expect(await delivered(peer, 2)).toEqual(['1.0:1', '2.0:2'])
  })

  it('of a peer without credits is not shed by what it has not read yet', async () => {
    const server = await startServer({ store: new MemoryStore(), channels, limits: { outboxBytes: 256 * 1024 } })
    const peer = await plainPeer(server)
    peer.send(subscribeFrame('orders', 1))
    await peer.expect('SubscribeAck')
    peer.socket.pause()
    const channel = server.bus.channel<string>('orders')
    const total = 2_000
    // Commits of 80 KiB, of which a page of the log has several.
    for (let first = 0; first < total; first += 10) {
      await Promise.all(Array.from({ length: 10 }, (_, index) => channel.publish(`${first + index}`.padEnd(8 * 1024))))
    }
    peer.socket.resume()
    for (let index = 0; index < total; index++) {
      expect(JSON.parse(textOf(await peer.expect('Deliver'))).trim()).toBe(`${index}`)
    }
  })

  it('cannot be had of a channel without one', async () => {
    const server = await start()
    const peer = await extendedPeer(server)
    peer.send(subscribe({ from: 'earliest' }, 1, 8, 'ticks'), subscribe({ cursor: 'billing' }, 3, 8, 'ticks'))
    for (let left = 2; left > 0; left--) {
      expect((await peer.expect('SubscribeError')).reasonCode).toBe(ReasonCode.NotSupported)
    }
    peer.send(subscribe(null, 5, 8, 'ticks'))
    expect(await peer.expect('SubscribeAck')).toMatchObject({ streamId: 5, flags: 0 })
  })

  it('needs terms that can be read', async () => {
    const server = await start()
    const peer = await extendedPeer(server)
    peer.send(subscribe({ from: 'newest' }), subscribe({ cursor: '' }, 3))
    for (let left = 2; left > 0; left--) {
      expect((await peer.expect('SubscribeError')).reasonCode).toBe(ReasonCode.InvalidArgument)
    }
    expect(server.sessions[0]?.subscriptions).toBe(0)
  })
})

describe('a subscription with a cursor', () => {
  it('gets what is not accepted, and again what it hands back', async () => {
    const server = await start()
    await publish(server, 0, 1, 2, 3)
    const peer = await extendedPeer(server)
    peer.send(subscribe({ from: 'earliest', cursor: 'billing' }))
    expect(await peer.expect('SubscribeAck')).toMatchObject({ flags: SUBSCRIBED_LOGGED })
    expect(await delivered(peer, 4)).toEqual(['1.0:0', '2.0:1', '3.0:2', '4.0:3'])
    peer.send(handBack('Reject', '2', 'not now'))
    expect(await delivered(peer, 1)).toEqual(['2.1:1'])
    // Up to the fourth all are accepted, but not the second attempt of what was handed back.
    peer.send(answer('Accept', '4'), handBack('Reject', '2.1', null))
    expect(await delivered(peer, 1)).toEqual(['2.2:1'])
    // Of an older attempt.
    peer.send(handBack('Reject', '2', null))
    expect(await peer.rest()).toEqual([])
    peer.send(answer('Accept', '2.2'))
    peer.send(answer('Accept', 'now', ACCEPT_CHECKPOINT))
    expect(await peer.next()).toEqual(answer('Accept', 'now', ACCEPT_CHECKPOINT))
    expect(coreOf(server.bus)?.channels.get('orders').storage?.cursors.get('billing').status).toMatchObject({
      position: 4n,
      lag: 0n,
    })
  })

  it('gets it later if it says when', async () => {
    const server = await start()
    await publish(server, 0)
    const peer = await extendedPeer(server)
    peer.send(subscribe({ from: 'earliest', cursor: 'billing' }))
    await peer.expect('SubscribeAck')
    await delivered(peer, 1)
    const before = performance.now()
    peer.send(handBack('Defer', '1', '60 busy'))
    expect(await delivered(peer, 1)).toEqual(['1.1:0'])
    expect(performance.now() - before).toBeGreaterThanOrEqual(55)
  })

  it('gets again what it has for too long, unless it says that it takes longer', async () => {
    const server = await start()
    await publish(server, 0, 1)
    const peer = await extendedPeer(server)
    peer.send(subscribe({ from: 'earliest', cursor: 'billing', leaseMs: 1_000 }))
    await peer.expect('SubscribeAck')
    await delivered(peer, 2)
    const extend = setInterval(() => peer.send(answer('Accept', '1', ACCEPT_EXTEND)), 20)
    try {
      expect(await delivered(peer, 1)).toEqual(['2.1:1'])
    } finally {
      clearInterval(extend)
    }
    expect(await delivered(peer, 2)).toEqual(expect.arrayContaining(['1.1:0']))
  })

  it('is not given more while it answers nothing, however often leases end', async () => {
    const server = await start()
    await publish(server, 0, 1, 2)
    const peer = await extendedPeer(server)
    peer.send(subscribe({ from: 'earliest', cursor: 'billing', leaseMs: 20 }, 1, 2))
    await peer.expect('SubscribeAck')
    await delivered(peer, 2)
    await endOfLeases(server)
    expect(await peer.rest()).toEqual([])
    // Late, but it was done.
    peer.send(answer('Accept', '2'))
    expect(await delivered(peer, 1)).toEqual(['3.0:2'])
  })

  it('has leases from when it says that it took the deliveries, where it said that it would', async () => {
    const server = await start()
    await publish(server, 0, 1, 2)
    const peer = await extendedPeer(server)
    peer.send(subscribe({ from: 'earliest', cursor: 'billing', leaseMs: 20, leaseBegins: 'taken' }, 1, 2))
    await peer.expect('SubscribeAck')
    await delivered(peer, 2)
    await endOfLeases(server)
    expect(await peer.rest()).toEqual([])
    // Also what was never sent, and what was told before.
    for (const id of ['1', '1', '9', 'x']) peer.send(answer('Accept', id, ACCEPT_TAKEN))
    // Its lease ends, and it takes no room any more.
    expect(await delivered(peer, 1)).toEqual(['1.1:0'])
    await endOfLeases(server)
    expect(await peer.rest()).toEqual([])
    peer.send(answer('Accept', '1.1', ACCEPT_TAKEN))
    expect((await delivered(peer, 2)).toSorted()).toEqual(['1.2:0', '2.1:1'])
    // Late, and all before it too: 2.1 came after 1.1.
    peer.send(answer('Accept', '1.2'))
    expect(await delivered(peer, 1)).toEqual(['3.0:2'])
  })

  it('is served as before when its window fills up while a part of it waits to be used', async () => {
    const server = await start()
    const peer = await extendedPeer(server)
    peer.send(subscribe({ cursor: 'billing', accept: 'each', leaseBegins: 'taken' }, 1, 64))
    await peer.expect('SubscribeAck')
    let [published, accepted] = [0, 0]
    const publishSome = async (count: number): Promise<void> => {
      await publish(server, ...Array.from({ length: count }, () => published++))
    }
    await publishSome(64)
    await delivered(peer, 64)
    for (let round = 0; round < 40; round++) {
      const accept = (): Frame => answer('Accept', `${++accepted}`, ACCEPT_ONE)
      // Three are less than a step of this window, and four are one: the first three wait for the fourth.
      peer.send(accept(), accept(), accept(), PING)
      await peer.expect('Pong')
      peer.send(accept())
      await publishSome(4)
      await delivered(peer, 4)
      // Past the time that they would have waited.
      await new Promise((resolve) => setTimeout(resolve, 3))
      expect(await peer.rest()).toEqual([])
    }
  })

  it('costs an attempt of what was taken in hand and of nothing else, however it ends', async () => {
    const ends: Record<string, (server: BusServer, peer: RawPeer, subscriptionId: bigint) => Promise<unknown>> = {
      unsubscribed: (_server, peer, subscriptionId) => {
        peer.send({ type: 'Unsubscribe', flags: CONFIRM, streamId: 1, subscriptionId })
        return peer.expect('Unsubscribe')
      },
      disconnected: (_server, peer) => {
        peer.send({ type: 'Disconnect', flags: 0, streamId: 0 })
        return peer.ended
      },
      died: (server, peer) => {
        peer.destroy()
        return eventually(() => expect(server.sessions).toEqual([]))
      },
    }
    for (const [how, end] of Object.entries(ends)) {
      const server = await start()
      await publish(server, 0, 1, 2, 3)
      const cursor = { from: 'earliest', cursor: 'billing', maxAttempts: 2, leaseBegins: 'taken', accept: 'each' }
      const peer = await extendedPeer(server)
      peer.send(subscribe(cursor))
      const { subscriptionId } = await peer.expect('SubscribeAck')
      await delivered(peer, 4)
      peer.send(answer('Accept', '2', ACCEPT_TAKEN))
      await end(server, peer, subscriptionId)
      const next = await extendedPeer(server)
      next.send(subscribe(cursor))
      await next.expect('SubscribeAck')
      const seen: string[] = []
      // One of the two may be what it died of: they come one by one.
      for (const atOnce of how === 'died' ? [1, 1, 2] : [4]) {
        const together = await delivered(next, atOnce)
        expect(await next.rest()).toEqual([])
        for (const delivery of together) next.send(answer('Accept', delivery.split(':')[0], ACCEPT_ONE))
        seen.push(...together)
      }
      expect(seen).toEqual(['1.1:0', '2.1:1', '3.0:2', '4.0:3'])
    }
  })

  it('goes on where another one left it, and loses it to a newer one', async () => {
    const server = await start()
    await publish(server, 0, 1, 2)
    const first = await extendedPeer(server)
    first.send(subscribe({ from: 'earliest', cursor: 'billing' }))
    await first.expect('SubscribeAck')
    await delivered(first, 3)
    first.send(answer('Accept', '1'), PING)
    await first.expect('Pong')
    const second = await extendedPeer(server)
    second.send(subscribe({ cursor: 'billing' }))
    const fenced = await first.expect('SubscribeError')
    expect(fenced.reasonCode).toBe(ReasonCode.CursorFenced)
    await second.expect('SubscribeAck')
    expect(await delivered(second, 2)).toEqual(['2.1:1', '3.1:2'])
    // It is nobody's business any more what the first one says.
    first.send(answer('Accept', '3'))
    expect(await first.rest()).toEqual([])
    second.destroy()
    const third = await extendedPeer(server)
    third.send(subscribe({ cursor: 'billing' }))
    await third.expect('SubscribeAck')
    expect(await delivered(third, 2)).toEqual(['2.2:1', '3.2:2'])
  })

  it('is given up when it is unsubscribed, confirmed once that is written down', async () => {
    const server = await start()
    await publish(server, 0, 1)
    const peer = await extendedPeer(server)
    peer.send(subscribe({ from: 'earliest', cursor: 'billing' }))
    const { subscriptionId } = await peer.expect('SubscribeAck')
    await delivered(peer, 2)
    const unsubscribe: Frame = { type: 'Unsubscribe', flags: CONFIRM, streamId: 1, subscriptionId }
    peer.send(answer('Accept', '1'), unsubscribe)
    expect(await peer.next()).toEqual(unsubscribe)
    expect(coreOf(server.bus)?.channels.get('orders').storage?.cursors.get('billing').status).toMatchObject({
      position: 1n,
      owned: false,
    })
    peer.send(subscribe({ cursor: 'billing' }))
    await peer.expect('SubscribeAck')
    expect(await delivered(peer, 1)).toEqual(['2.1:1'])
  })

  it('is given up with its connection', async () => {
    const server = await start()
    const peer = await extendedPeer(server)
    peer.send(subscribe({ cursor: 'billing' }))
    await peer.expect('SubscribeAck')
    const { cursors } = coreOf(server.bus)?.channels.get('orders').storage ?? {}
    expect(cursors?.get('billing').status.owned).toBe(true)
    peer.send({ type: 'Disconnect', flags: 0, streamId: 0 })
    await peer.ended
    expect(cursors?.get('billing').status.owned).toBe(false)
  })

  it('is heard in its order while other frames wait', async () => {
    const store = new GatedStore()
    const server = await start(store)
    await publish(server, 0, 1)
    const peer = await extendedPeer(server)
    peer.send(subscribe({ from: 'earliest', cursor: 'billing' }))
    await peer.expect('SubscribeAck')
    await delivered(peer, 2)
    store.shut()
    // The second Subscribe waits for the publish, which waits for the disk.
    peer.send(publishFrame('orders', '2', { streamId: 3 }), subscribe(null, 5))
    peer.send(handBack('Reject', '1', null), answer('Accept', '2'))
    expect(await delivered(peer, 1)).toEqual(['1.1:0'])
    store.open()
    expect((await peer.until('SubscribeAck')).map(({ type }) => type)).toContain('PublishAck')
  })

  it('is waited for when the server shuts down, as long as it goes on answering', async () => {
    const server = await start()
    await publish(server, 0, 1, 2)
    const peer = await extendedPeer(server)
    peer.send(subscribe({ from: 'earliest', cursor: 'billing' }, 1, 2))
    await peer.expect('SubscribeAck')
    await delivered(peer, 2)
    const cursor = coreOf(server.bus)?.channels.get('orders').storage?.cursors.get('billing')
    const closing = server.close()
    peer.send(answer('Accept', '1'))
    expect(await peer.rest()).toEqual([])
    peer.send(answer('Accept', '2'))
    // Nothing new is delivered by then.
    await peer.expect('Disconnect')
    peer.destroy()
    await closing
    expect(cursor?.status.position).toBe(2n)
  })

  it('answers too many checkpoints with a refusal, and goes on', async () => {
    const server = await start()
    const peer = await extendedPeer(server)
    peer.send(subscribe({ cursor: 'billing' }))
    await peer.expect('SubscribeAck')
    peer.send(...Array.from({ length: 2_000 }, (_, index) => answer('Accept', String(index), ACCEPT_CHECKPOINT)))
    const answers: Frame[] = []
    while (answers.length < 2_000) answers.push(await peer.next())
    const refused = answers.filter(({ type }) => type === 'Reject')
    expect(refused.length).toBe(2_000 - 1_024)
    expect(refused[0]).toMatchObject({ flags: ACCEPT_CHECKPOINT })
    expect(refused[0]).toHaveProperty('reason', expect.stringMatching(new RegExp(`^${ReasonCode.LimitExceeded} `)))
    await publish(server, 0)
    expect(await delivered(peer, 1)).toEqual(['1.0:0'])
  })
})
