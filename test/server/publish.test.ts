import { describe, expect, it } from 'vitest'
import { coreOf } from '../../ts/bus/index.ts'
import type { Frame, PublishAck } from '../../ts/protocol/index.ts'
import { ACK_DELIVERED, ACK_DUPLICATE, PUBLISH_NO_ACK, ReasonCode } from '../../ts/protocol/index.ts'
import { extendedPeer, plainPeer, startServer } from './fixture.ts'
import { publishFrame, subscribeFrame, textOf } from './raw-peer.ts'

const NUMBERS = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }

function acks(frames: readonly Frame[]): PublishAck[] {
  return frames.filter((frame) => frame.type === 'PublishAck')
}

describe('publish', () => {
  it('acknowledges a run in order under rising ids, and says that nobody was reached', async () => {
    const peer = await plainPeer(await startServer())
    peer.send(...Array.from({ length: 1_000 }, (_, n) => publishFrame('orders', `${n}`, { streamId: 5 })))
    const answers = await peer.rest()
    expect(answers).toHaveLength(1_000)
    const ids = acks(answers).map((ack) => ack.messageId)
    expect(ids).toHaveLength(1_000)
    expect(ids).toEqual([...ids].sort((a, b) => (a < b ? -1 : 1)))
    expect(new Set(ids).size).toBe(1_000)
    expect(acks(answers).every((ack) => ack.flags === 0 && ack.streamId === 5)).toBe(true)
  })

  it('says that a subscriber was reached, after the delivery was written', async () => {
    const peer = await plainPeer(await startServer())
    peer.send(subscribeFrame('orders', 1), publishFrame('orders', 'a', { streamId: 3 }))
    const types = (await peer.rest()).map((frame) => frame.type)
    expect(types).toEqual(['SubscribeAck', 'Deliver', 'PublishAck'])
    peer.send(publishFrame('orders', 'b', { streamId: 3 }))
    expect(acks(await peer.rest())[0].flags).toBe(ACK_DELIVERED)
  })

  it('reaches subscribers of the embedded bus', async () => {
    const server = await startServer()
    const subscription = server.bus.channel('orders').subscribe()
    await subscription.ready()
    const peer = await plainPeer(server)
    peer.send(publishFrame('orders', '{"id":1}'))
    expect((await peer.expect('PublishAck')).flags).toBe(ACK_DELIVERED)
    for await (const delivery of subscription) {
      expect(delivery.value).toEqual({ id: 1 })
      break
    }
  })

  it('refuses each message to a channel that is not there with 0x0101', async () => {
    const peer = await plainPeer(await startServer({ createChannels: false, channels: [{ name: 'orders' }] }))
    peer.send(
      publishFrame('orders', '1', { streamId: 1 }),
      publishFrame('typo', '2', { streamId: 1 }),
      publishFrame('typo', '3', { streamId: 1 }),
      publishFrame('orders', '4', { streamId: 1 }),
    )
    const answers = await peer.rest()
    expect(answers.map((frame) => frame.type)).toEqual(['PublishAck', 'PublishError', 'PublishError', 'PublishAck'])
    expect(answers[1]).toMatchObject({
      streamId: 1,
      reasonCode: ReasonCode.ChannelNotFound,
      message: expect.stringContaining('typo'),
    })
  })

  it('keeps the order of acks and errors of a channel with a schema', async () => {
    const peer = await extendedPeer(await startServer({ channels: [{ name: 'numbers', schema: NUMBERS }] }))
    const payloads = ['{"n":1}', '{"n":"x"}', '{"n":2}', 'no json', '{"n":3}']
    peer.send(...payloads.map((payload) => publishFrame('numbers', payload)))
    const answers = await peer.rest()
    expect(answers.map((frame) => (frame.type === 'PublishError' ? frame.reasonCode : frame.type))).toEqual([
      'PublishAck',
      ReasonCode.PayloadInvalid,
      'PublishAck',
      ReasonCode.PayloadInvalid,
      'PublishAck',
    ])
  })

  it('uses 0xFFFF for reasons that 1.0 does not have', async () => {
    const peer = await plainPeer(await startServer({ channels: [{ name: 'numbers', schema: NUMBERS }] }))
    peer.send(publishFrame('numbers', '{}'))
    expect((await peer.expect('PublishError')).reasonCode).toBe(ReasonCode.ServerError)
  })

  it('marks a repeated idempotency key where that was granted, and repeats the original id', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    peer.send(subscribeFrame('orders', 1))
    await peer.expect('SubscribeAck')
    peer.send(
      publishFrame('orders', '1', { streamId: 3, key: 'k' }),
      publishFrame('orders', '1', { streamId: 3, key: 'k' }),
    )
    const answers = await peer.rest()
    const [first, second] = acks(answers)
    expect(first.flags).toBe(ACK_DELIVERED)
    expect(second.flags).toBe(ACK_DELIVERED | ACK_DUPLICATE)
    expect(second.messageId).toBe(first.messageId)
    expect(answers.filter((frame) => frame.type === 'Deliver')).toHaveLength(1)

    const plain = await plainPeer(server)
    plain.send(publishFrame('orders', '1', { key: 'k' }))
    expect(await plain.expect('PublishAck')).toMatchObject({ flags: ACK_DELIVERED, messageId: first.messageId })
  })

  it('leaves out acks where that was granted and asked for, but no errors', async () => {
    const server = await startServer({ createChannels: false, channels: [{ name: 'orders' }] })
    const peer = await extendedPeer(server)
    peer.send(
      publishFrame('orders', '1', { flags: PUBLISH_NO_ACK }),
      publishFrame('typo', '2', { flags: PUBLISH_NO_ACK }),
      publishFrame('orders', '3'),
    )
    expect((await peer.rest()).map((frame) => frame.type)).toEqual(['PublishError', 'PublishAck'])
    const plain = await plainPeer(server)
    plain.send(publishFrame('orders', '1', { flags: PUBLISH_NO_ACK }))
    await plain.expect('PublishAck')
  })

  it('refuses messages to a channel that was closed meanwhile, and tells its subscribers', async () => {
    const server = await startServer({ createChannels: false, channels: [{ name: 'orders' }] })
    const peer = await plainPeer(server)
    peer.send(subscribeFrame('orders', 1), publishFrame('orders', '1', { streamId: 3 }))
    expect((await peer.rest()).map((frame) => frame.type)).toEqual(['SubscribeAck', 'Deliver', 'PublishAck'])
    coreOf(server.bus)?.channels.close('orders')
    expect(await peer.expect('SubscribeError')).toMatchObject({ streamId: 1, reasonCode: ReasonCode.ChannelClosed })
    peer.send(publishFrame('orders', '2', { streamId: 3 }))
    expect(await peer.expect('PublishError')).toMatchObject({ streamId: 3, message: expect.stringContaining('orders') })
    expect(server.sessions[0].subscriptions).toBe(0)
  })

  it('delivers what a frame cut at any place carried', async () => {
    const server = await startServer()
    const subscriber = await plainPeer(server)
    subscriber.send(subscribeFrame('orders', 1))
    await subscriber.expect('SubscribeAck')
    const publisher = await plainPeer(server)
    publisher.send(publishFrame('orders', 'x'.repeat(200_000)), publishFrame('orders', 'short'))
    expect(textOf(await subscriber.expect('Deliver'))).toBe('x'.repeat(200_000))
    expect(textOf(await subscriber.expect('Deliver'))).toBe('short')
  })

  it('loses nothing of a publisher that leaves right behind its burst', async () => {
    const server = await startServer()
    const subscriber = await plainPeer(server)
    subscriber.send(subscribeFrame('orders', 1))
    await subscriber.expect('SubscribeAck')
    const publisher = await plainPeer(server)
    publisher.send(...Array.from({ length: 5_000 }, (_, n) => publishFrame('orders', `${n}`)))
    publisher.socket.end()
    for (let n = 0; n < 5_000; n++) {
      const delivery = await subscriber.expect('Deliver')
      if (textOf(delivery) !== `${n}` || delivery.deliverySeq !== BigInt(n + 1)) {
        expect.fail(`delivery ${delivery.deliverySeq} carries ${textOf(delivery)} instead of ${n}`)
      }
    }
  })

  it.each(['', 'x'.repeat(256), 'a\nb'])('refuses a name that no channel can have (%j)', async (name) => {
    const peer = await extendedPeer(await startServer())
    peer.send(publishFrame(name, 'a', { streamId: 3 }))
    expect(await peer.expect('PublishError')).toMatchObject({ streamId: 3, reasonCode: ReasonCode.InvalidArgument })
  })
})
