import { describe, expect, it } from 'vitest'
import { CONFIRM, ReasonCode } from '../../ts/protocol/index.ts'
import { SESSION_SHED, type SessionShed } from '../../ts/server/index.ts'
import { diagnosed, extendedPeer, plainPeer, startServer } from './fixture.ts'
import { publishFrame, type RawPeer, subscribeFrame, textOf } from './raw-peer.ts'

const NUMBERS = { type: 'object', properties: { n: { type: 'integer' }, unit: { type: 'string', default: 'm' } } }

async function subscribed(peer: RawPeer, channel: string, streamId = 1, maxInFlight = 1_024): Promise<bigint> {
  peer.send(subscribeFrame(channel, streamId, { maxInFlight }))
  return (await peer.expect('SubscribeAck')).subscriptionId
}

describe('subscriptions', () => {
  it('delivers on the stream of the subscription, numbered from 1, payload and cause untouched', async () => {
    const server = await startServer()
    const subscriber = await plainPeer(server)
    await subscribed(subscriber, 'orders', 7)
    const publisher = await plainPeer(server)
    const causal = { parentId: 'm-1', vectorClockEntry: 18_446_744_073_709_551_615n }
    const frame = publishFrame('orders', Buffer.from([0, 255, 128]))
    if (frame.type !== 'Publish') throw new Error('not a Publish')
    publisher.send({ ...frame, envelope: { ...frame.envelope, causal } }, publishFrame('orders', 'second'))
    const first = await subscriber.expect('Deliver')
    expect(first).toMatchObject({ flags: 0, streamId: 7, deliverySeq: 1n })
    expect([...first.envelope.payload]).toEqual([0, 255, 128])
    expect(first.envelope.causal).toEqual(causal)
    expect(await subscriber.expect('Deliver')).toMatchObject({ streamId: 7, deliverySeq: 2n })
  })

  it('counts each subscription on its own, also two of one channel', async () => {
    const server = await startServer()
    const peer = await plainPeer(server)
    await subscribed(peer, 'a', 1)
    peer.send(publishFrame('a', '1', { streamId: 9 }))
    expect(await peer.expect('Deliver')).toMatchObject({ streamId: 1, deliverySeq: 1n })
    await peer.expect('PublishAck')
    await subscribed(peer, 'a', 3)
    peer.send(publishFrame('a', '2', { streamId: 9 }))
    expect(await peer.expect('Deliver')).toMatchObject({ streamId: 1, deliverySeq: 2n })
    expect(await peer.expect('Deliver')).toMatchObject({ streamId: 3, deliverySeq: 1n })
  })

  it('selects the schema of the channel and puts its id on deliveries, with defaults filled in', async () => {
    const server = await startServer({ channels: [{ name: 'numbers', schema: NUMBERS }] })
    const peer = await plainPeer(server)
    peer.send(subscribeFrame('numbers', 1))
    const { selectedSchema } = await peer.expect('SubscribeAck')
    expect(selectedSchema.some((byte) => byte !== 0)).toBe(true)
    peer.send(subscribeFrame('numbers', 3, { acceptedSchemas: [new Uint8Array(32).fill(7), selectedSchema] }))
    await peer.expect('SubscribeAck')
    peer.send(publishFrame('numbers', '{"n":1}', { streamId: 5 }))
    const delivery = await peer.expect('Deliver')
    expect(Buffer.from(delivery.envelope.schemaId).equals(selectedSchema)).toBe(true)
    expect(JSON.parse(textOf(delivery))).toEqual({ n: 1, unit: 'm' })
  })

  it('refuses a subscriber that accepts none of the schemas with 0x0008', async () => {
    const server = await startServer({ channels: [{ name: 'numbers', schema: NUMBERS }] })
    const peer = await plainPeer(server)
    peer.send(subscribeFrame('numbers', 1, { acceptedSchemas: [new Uint8Array(32).fill(7)] }))
    expect(await peer.expect('SubscribeError')).toMatchObject({
      streamId: 1,
      reasonCode: ReasonCode.SchemaIncompatible,
    })
    expect(server.sessions[0].subscriptions).toBe(0)
  })

  it('refuses a channel that is not there with 0x0101', async () => {
    const peer = await plainPeer(await startServer({ createChannels: false }))
    peer.send(subscribeFrame('orders', 3))
    expect(await peer.expect('SubscribeError')).toMatchObject({ streamId: 3, reasonCode: ReasonCode.ChannelNotFound })
  })

  it('refuses a stream that carries a live subscription, and takes it again afterwards', async () => {
    const peer = await plainPeer(await startServer())
    const subscriptionId = await subscribed(peer, 'a', 1)
    peer.send(subscribeFrame('b', 1))
    expect(await peer.expect('SubscribeError')).toMatchObject({ reasonCode: ReasonCode.InvalidStateTransition })
    peer.send({ type: 'Unsubscribe', flags: 0, streamId: 1, subscriptionId }, subscribeFrame('b', 1))
    await peer.expect('SubscribeAck')
  })

  it('stops after Unsubscribe, silently for a peer that wants no confirmation', async () => {
    const server = await startServer()
    const peer = await plainPeer(server)
    const subscriptionId = await subscribed(peer, 'a', 1)
    peer.send(
      { type: 'Unsubscribe', flags: CONFIRM, streamId: 1, subscriptionId },
      publishFrame('a', '1', { streamId: 3 }),
    )
    expect(await peer.rest()).toMatchObject([{ type: 'PublishAck', flags: 0 }])
    expect(server.sessions[0].subscriptions).toBe(0)
  })

  it('confirms Unsubscribe where that was granted and asked for, also of an id that is gone', async () => {
    const peer = await extendedPeer(await startServer())
    const subscriptionId = await subscribed(peer, 'a', 1)
    const unsubscribe = { type: 'Unsubscribe', flags: CONFIRM, streamId: 1, subscriptionId } as const
    peer.send(unsubscribe)
    expect(await peer.next()).toEqual(unsubscribe)
    peer.send(unsubscribe, { ...unsubscribe, flags: 0 })
    expect(await peer.rest()).toEqual([unsubscribe])
  })

  it("does not end another connection's subscription", async () => {
    const server = await startServer()
    const owner = await plainPeer(server)
    const subscriptionId = await subscribed(owner, 'a', 1)
    const other = await plainPeer(server)
    other.send({ type: 'Unsubscribe', flags: 0, streamId: 1, subscriptionId }, publishFrame('a', '1', { streamId: 3 }))
    await other.expect('PublishAck')
    await owner.expect('Deliver')
  })

  it('limits the subscriptions of a connection without disturbing those there are', async () => {
    const server = await startServer({ limits: { subscriptionsPerConnection: 2 } })
    const peer = await extendedPeer(server)
    await subscribed(peer, 'a', 1)
    await subscribed(peer, 'a', 3)
    peer.send(subscribeFrame('a', 5), publishFrame('a', '1', { streamId: 7 }))
    const frames = await peer.rest()
    expect(frames[0]).toMatchObject({ type: 'SubscribeError', streamId: 5, reasonCode: ReasonCode.LimitExceeded })
    expect(frames.filter((frame) => frame.type === 'Deliver')).toHaveLength(2)
    const plain = await plainPeer(server)
    await subscribed(plain, 'a', 1)
    await subscribed(plain, 'a', 3)
    plain.send(subscribeFrame('a', 5))
    expect(await plain.expect('SubscribeError')).toMatchObject({ reasonCode: ReasonCode.ServerError })
  })

  it('counts subscriptions as reached and sends nothing where delivery is off', async () => {
    const server = await startServer({ deliver: false })
    const subscriber = await plainPeer(server)
    await subscribed(subscriber, 'a', 1)
    const publisher = await plainPeer(server)
    publisher.send(publishFrame('a', '1'))
    expect((await publisher.expect('PublishAck')).flags).toBe(1)
    expect(await subscriber.rest()).toEqual([])
    expect(server.sessions.every((session) => session.outboxBytes === 0)).toBe(true)
  })

  it('carries messages far larger than the buffers of the sockets', async () => {
    const server = await startServer()
    const subscriber = await plainPeer(server)
    await subscribed(subscriber, 'a')
    const publisher = await plainPeer(server)
    const sizes = [128 * 1024, 512 * 1024, 3, 5 * 1024 * 1024]
    publisher.send(...sizes.map((size) => publishFrame('a', Buffer.alloc(size, size % 251))))
    for (const size of sizes) {
      const { payload } = (await subscriber.expect('Deliver')).envelope
      expect(Buffer.from(payload).equals(Buffer.alloc(size, size % 251))).toBe(true)
    }
  })

  it('takes a message of the largest frame, though it is larger than the whole outbox', async () => {
    const server = await startServer({ limits: { outboxBytes: 64 * 1024 } })
    const subscriber = await plainPeer(server)
    await subscribed(subscriber, 'a')
    const publisher = await plainPeer(server)
    for (let round = 0; round < 3; round++) {
      publisher.send(publishFrame('a', Buffer.alloc(2 * 1024 * 1024, round)))
      expect((await subscriber.expect('Deliver')).envelope.payload).toHaveLength(2 * 1024 * 1024)
      expect((await publisher.expect('PublishAck')).flags).toBe(1)
    }
  })

  it('sheds a subscription that is not read, and nothing else of its connection', async () => {
    const server = await startServer({ limits: { outboxBytes: 256 * 1024 } })
    const subscriber = await extendedPeer(server)
    // A window large enough that credit is never what is missing.
    await subscribed(subscriber, 'busy', 1, 0xffff_ffff)
    await subscribed(subscriber, 'quiet', 3)
    const publisher = await plainPeer(server)
    const shed = diagnosed<SessionShed>(SESSION_SHED)
    subscriber.socket.pause()
    const payload = Buffer.alloc(32 * 1024)
    let reached = 1
    while (reached === 1) {
      publisher.send(publishFrame('busy', payload))
      reached = (await publisher.expect('PublishAck')).flags
    }
    expect(await shed).toMatchObject({ channel: 'busy', streamId: 1 })
    subscriber.socket.resume()
    const frames = await subscriber.until('SubscribeError')
    expect(frames.at(-1)).toMatchObject({ streamId: 1, reasonCode: ReasonCode.SubscriptionShed })
    const deliveries = frames.flatMap((frame) => (frame.type === 'Deliver' ? [frame.deliverySeq] : []))
    expect(deliveries).toEqual(deliveries.map((_, index) => BigInt(index + 1)))
    publisher.send(publishFrame('quiet', 'still here'))
    expect(textOf(await subscriber.expect('Deliver'))).toBe('still here')
    await subscribed(subscriber, 'busy', 1)
  })

  it('tells a peer of 1.0 of its shed subscription with 0xFFFF', async () => {
    const server = await startServer({ limits: { outboxBytes: 128 * 1024 } })
    const subscriber = await plainPeer(server)
    await subscribed(subscriber, 'busy', 1)
    subscriber.socket.pause()
    const publisher = await plainPeer(server)
    let reached = 1
    while (reached === 1) {
      publisher.send(publishFrame('busy', Buffer.alloc(32 * 1024)))
      reached = (await publisher.expect('PublishAck')).flags
    }
    subscriber.socket.resume()
    expect((await subscriber.until('SubscribeError')).at(-1)).toMatchObject({ reasonCode: ReasonCode.ServerError })
  })
})
