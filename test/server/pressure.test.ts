import { describe, expect, it } from 'vitest'
import { SESSION_FAILED, type SessionFailed } from '../../ts/server/index.ts'
import { diagnosed, plainPeer, startServer } from './fixture.ts'
import { PING, publishFrame, subscribeFrame, textOf } from './raw-peer.ts'

describe('back-pressure', () => {
  it('brings every message to a subscriber that reads, however fast the publishers are', async () => {
    const server = await startServer({ limits: { outboxBytes: 256 * 1024 } })
    const subscriber = await plainPeer(server)
    subscriber.send(subscribeFrame('a', 1))
    await subscriber.expect('SubscribeAck')
    const publishers = await Promise.all(Array.from({ length: 8 }, () => plainPeer(server)))
    const each = 400
    for (const publisher of publishers) {
      publisher.send(...Array.from({ length: each }, () => publishFrame('a', Buffer.alloc(4 * 1024))))
    }
    for (let n = 1; n <= each * publishers.length; n++) {
      expect((await subscriber.expect('Deliver')).deliverySeq).toBe(BigInt(n))
    }
  })

  it('keeps a stalled subscriber from stopping the others', async () => {
    const server = await startServer({ limits: { outboxBytes: 256 * 1024 } })
    const stalled = await plainPeer(server)
    stalled.send(subscribeFrame('a', 1))
    await stalled.expect('SubscribeAck')
    stalled.socket.pause()
    const honest = await Promise.all(Array.from({ length: 4 }, () => plainPeer(server)))
    for (const peer of honest) {
      peer.send(subscribeFrame('a', 1))
      await peer.expect('SubscribeAck')
    }
    const publisher = await plainPeer(server)
    // More than the buffers of the system and the outbox of the stalled one take together.
    const total = 2_000
    publisher.send(...Array.from({ length: total }, (_, n) => publishFrame('a', `${n}`.padEnd(8 * 1024))))
    for (const peer of honest) {
      for (let n = 0; n < total; n++) expect(textOf(await peer.expect('Deliver')).trim()).toBe(`${n}`)
    }
    stalled.socket.resume()
    const frames = await stalled.until('SubscribeError')
    expect(frames.length).toBeLessThan(total)
  })

  it('disconnects a peer that leaves its replies unread, and nobody else', async () => {
    const server = await startServer({ limits: { outboxBytes: 64 * 1024 } })
    const peer = await plainPeer(server)
    const other = await plainPeer(server)
    const failed = diagnosed<SessionFailed>(SESSION_FAILED)
    peer.socket.pause()
    const pings = Buffer.alloc(10 * 10_000)
    for (let at = 0; at < pings.length; at += 10) pings[at] = 0x13
    const closed = new Promise<void>((resolve) => peer.socket.once('close', () => resolve()))
    const feed = (): void => {
      while (!peer.socket.destroyed && peer.socket.write(pings));
    }
    peer.socket.on('drain', feed)
    feed()
    expect((await failed).error.code).toBe('OUTBOX_FULL')
    peer.socket.resume()
    await closed
    other.send(PING)
    await other.expect('Pong')
    expect(server.sessions).toHaveLength(1)
  })
})
