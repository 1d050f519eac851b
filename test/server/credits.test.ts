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
