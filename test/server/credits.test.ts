import { describe, expect, it } from 'vitest'
import type { Frame } from '../../ts/protocol/index.ts'
import { ReasonCode } from '../../ts/protocol/index.ts'
import { extendedPeer, plainPeer, startServer } from './fixture.ts'
import { publishFrame, type RawPeer, subscribeFrame, textOf } from './raw-peer.ts'

function accept(streamId: number, sequence: string): Frame {
  return { type: 'Accept', flags: 0, streamId, referencedMessageId: sequence }
}

function sequences(frames: readonly Frame[]): bigint[] {
  return frames.flatMap((frame) => (frame.type === 'Deliver' ? [frame.deliverySeq] : []))
}

async function windowOf(peer: RawPeer, maxInFlight: number): Promise<void> {
  peer.send(subscribeFrame('a', 1, { maxInFlight }))
  await peer.expect('SubscribeAck')
}

async function publishAll(peer: RawPeer, count: number, size = 8): Promise<void> {
  peer.send(...Array.from({ length: count }, (_, n) => publishFrame('a', `${n}`.padEnd(size))))
  for (let n = 0; n < count; n++) await peer.expect('PublishAck')
}

describe('credits', () => {
  it('sends no more than the window beyond what was accepted, and the rest as it is accepted', async () => {
    const server = await startServer()
    const subscriber = await extendedPeer(server)
    await windowOf(subscriber, 3)
    await publishAll(await plainPeer(server), 10)
    expect(sequences(await subscriber.rest())).toEqual([1n, 2n, 3n])
    subscriber.send(accept(1, '2'))
    expect(sequences(await subscriber.rest())).toEqual([4n, 5n])
    subscriber.send(accept(1, '5'))
    const next = await subscriber.rest()
    expect(sequences(next)).toEqual([6n, 7n, 8n])
    expect(next.map((frame) => (frame.type === 'Deliver' ? textOf(frame).trim() : ''))).toEqual(['5', '6', '7'])
    subscriber.send(accept(1, '8'))
    expect(sequences(await subscriber.rest())).toEqual([9n, 10n])
  })

  it('lets new messages line up behind those that wait', async () => {
    const server = await startServer()
    const subscriber = await extendedPeer(server)
    await windowOf(subscriber, 1)
    const publisher = await plainPeer(server)
    await publishAll(publisher, 2)
    subscriber.send(accept(1, '1'))
    await publishAll(publisher, 2)
    expect(sequences(await subscriber.rest())).toEqual([1n, 2n])
    subscriber.send(accept(1, '2'), accept(1, '2'))
    expect(sequences(await subscriber.rest())).toEqual([3n])
    subscriber.send(accept(1, '3'))
    expect(sequences(await subscriber.rest())).toEqual([4n])
  })

  it.each(['0', '9', '-1', '1.5', '', 'one', '99999999999999999999'])('ignores Accept of %j', async (sequence) => {
    const server = await startServer()
    const subscriber = await extendedPeer(server)
    await windowOf(subscriber, 2)
    await publishAll(await plainPeer(server), 4)
    subscriber.send(accept(1, sequence), accept(3, '2'))
    expect(sequences(await subscriber.rest())).toEqual([1n, 2n])
  })

  it('has no window for a peer without credits', async () => {
    const server = await startServer()
    const subscriber = await plainPeer(server)
    await windowOf(subscriber, 1)
    await publishAll(await plainPeer(server), 5)
    expect(sequences(await subscriber.rest())).toEqual([1n, 2n, 3n, 4n, 5n])
  })

  it('sheds a subscription whose queue is full, and frees what waited', async () => {
    const server = await startServer({ limits: { subscriptionQueueBytes: 64 * 1024 } })
    const subscriber = await extendedPeer(server)
    await windowOf(subscriber, 1)
    const publisher = await plainPeer(server)
    let reached = 1
    let published = 0
    while (reached === 1) {
      publisher.send(publishFrame('a', Buffer.alloc(8 * 1024)))
      reached = (await publisher.expect('PublishAck')).flags
      published++
    }
    expect(published).toBeGreaterThan(5)
    expect(published).toBeLessThan(12)
    const frames = await subscriber.until('SubscribeError')
    expect(sequences(frames)).toEqual([1n])
    expect(frames.at(-1)).toMatchObject({ streamId: 1, reasonCode: ReasonCode.SubscriptionShed })
    expect(await subscriber.rest()).toEqual([])
    expect(server.sessions.every((session) => session.outboxBytes === 0)).toBe(true)
  })

  it('holds the publisher while the queue is behind, and lets it go as it is accepted', async () => {
    const server = await startServer({ limits: { subscriptionQueueBytes: 64 * 1024 } })
    const subscriber = await extendedPeer(server)
    await windowOf(subscriber, 1)
    const publisher = await plainPeer(server)
    const total = 200
    publisher.send(...Array.from({ length: total }, () => publishFrame('a', Buffer.alloc(4 * 1024))))
    // Eight times the queue: it would be shed if the publisher were not held.
    for (let n = 1; n <= total; n++) {
      const delivery = await subscriber.expect('Deliver')
      expect(delivery.deliverySeq).toBe(BigInt(n))
      subscriber.send(accept(1, `${n}`))
    }
    for (let n = 0; n < total; n++) expect((await publisher.expect('PublishAck')).flags).toBe(1)
  })

  it('takes the Accepts of a publisher that is held, those for its own publishes too', async () => {
    const server = await startServer({ limits: { subscriptionQueueBytes: 64 * 1024 } })
    const peer = await extendedPeer(server)
    await windowOf(peer, 1)
    const total = 200
    peer.send(...Array.from({ length: total }, (_, n) => publishFrame('a', `${n}`.padEnd(4 * 1024), { streamId: 3 })))
    peer.send({ type: 'Ping', flags: 0, streamId: 0 })
    const delivered: string[] = []
    const others: string[] = []
    while (delivered.length < total || others.at(-1) !== 'Pong') {
      const frame = await peer.next()
      if (frame.type !== 'Deliver') {
        others.push(frame.type)
        continue
      }
      delivered.push(textOf(frame).trim())
      peer.send(accept(1, `${frame.deliverySeq}`))
    }
    expect(delivered).toEqual(Array.from({ length: total }, (_, n) => `${n}`))
    // What waited kept its order: the Ping came last.
    expect(others).toEqual([...Array.from({ length: total }, () => 'PublishAck'), 'Pong'])
  })

  it('loses nothing of two peers that publish to each other', async () => {
    const server = await startServer({ limits: { subscriptionQueueBytes: 64 * 1024 } })
    const total = 200
    const exchange = async (peer: RawPeer, to: string): Promise<bigint[]> => {
      peer.send(...Array.from({ length: total }, () => publishFrame(to, Buffer.alloc(4 * 1024), { streamId: 3 })))
      const delivered: Frame[] = []
      while (delivered.length < total) {
        const frame = await peer.next()
        if (frame.type === 'PublishAck') continue
        delivered.push(frame)
        if (frame.type === 'Deliver') peer.send(accept(1, `${frame.deliverySeq}`))
      }
      return sequences(delivered)
    }
    const left = await extendedPeer(server)
    const right = await extendedPeer(server)
    for (const [peer, channel] of [
      [left, 'l'],
      [right, 'r'],
    ] as const) {
      peer.send(subscribeFrame(channel, 1, { maxInFlight: 1 }))
      await peer.expect('SubscribeAck')
    }
    const both = await Promise.all([exchange(left, 'r'), exchange(right, 'l')])
    const all = Array.from({ length: total }, (_, n) => BigInt(n + 1))
    expect(both).toEqual([all, all])
  })

  it('publishes what was held before it ends the connection for a malformed frame behind it', async () => {
    const server = await startServer({ limits: { subscriptionQueueBytes: 64 * 1024 } })
    const subscriber = await extendedPeer(server)
    await windowOf(subscriber, 1)
    const publisher = await plainPeer(server)
    const total = 40
    publisher.send(...Array.from({ length: total }, () => publishFrame('a', Buffer.alloc(4 * 1024))))
    publisher.write(Buffer.from('13000000070000000000', 'hex'))
    for (let n = 1; n <= total; n++) {
      expect((await subscriber.expect('Deliver')).deliverySeq).toBe(BigInt(n))
      subscriber.send(accept(1, `${n}`))
    }
    expect((await publisher.until('ConnectError')).length).toBe(total + 1)
    await publisher.ended
  })

  it('bounds what waits for the credit of all subscriptions of a connection', async () => {
    const cap = 64 * 1024
    const server = await startServer({ limits: { queueBytesPerConnection: cap } })
    const subscriber = await extendedPeer(server)
    const streams = Array.from({ length: 20 }, (_, n) => 1 + 2 * n)
    subscriber.send(...streams.map((streamId) => subscribeFrame('a', streamId, { maxInFlight: 1 })))
    for (const _ of streams) await subscriber.expect('SubscribeAck')
    await publishAll(await plainPeer(server), 10, 4 * 1024)
    const frames = await subscriber.rest()
    const shed = frames.filter((frame) => frame.type === 'SubscribeError')
    expect(shed.length).toBeGreaterThan(0)
    expect(shed.length).toBeLessThan(streams.length)
    for (const frame of shed) expect(frame).toMatchObject({ reasonCode: ReasonCode.SubscriptionShed })
    const [waiting] = server.sessions.map((session) => session.outboxBytes)
    expect(waiting).toBeGreaterThan(0)
    expect(waiting).toBeLessThanOrEqual(cap)
  })

  it('queues a run that is larger than its queue if nothing waits', async () => {
    const server = await startServer({ limits: { subscriptionQueueBytes: 1_024 } })
    const subscriber = await extendedPeer(server)
    await windowOf(subscriber, 1)
    await publishAll(await plainPeer(server), 2, 20_000)
    expect(sequences(await subscriber.rest())).toEqual([1n])
    subscriber.send(accept(1, '1'))
    expect(sequences(await subscriber.rest())).toEqual([2n])
  })
})
