import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { ReasonCode } from '../../ts/protocol/index.ts'
import { SESSION_CLOSED, SESSION_FAILED, type SessionClosed, type SessionFailed } from '../../ts/server/index.ts'
import { diagnosed, extendedPeer, plainPeer, startServer } from './fixture.ts'
import { messageFrame, openFrame, PING, publishFrame, subscribeFrame, textOf } from './raw-peer.ts'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** Bytes of array buffers that somebody holds. */
function arrayBuffers(): number {
  collectGarbage()
  return process.memoryUsage().arrayBuffers
}

/** Lets a second of fake time pass with each turn of the event loop, in which the sockets do what they can, until something has happened. */
async function passing<Event>(event: Promise<Event>): Promise<Event> {
  let isOver = false
  const over = event.finally(() => {
    isOver = true
  })
  while (!isOver) {
    vi.advanceTimersByTime(1_000)
    await nextTurn()
  }
  return over
}

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

  it('keeps no more of what was received than it counts for a subscriber that does not read', async () => {
    const server = await startServer({ limits: { outboxBytes: 64 * 1024 * 1024 } })
    const stalled = await plainPeer(server)
    stalled.send(subscribeFrame('a', 1))
    await stalled.expect('SubscribeAck')
    stalled.socket.pause()
    const publisher = await plainPeer(server)
    // More than the system takes, so that what follows waits in the outbox.
    const filling = Buffer.alloc(1024 * 1024, 1)
    publisher.send(...Array.from({ length: 16 }, () => publishFrame('a', filling)))
    for (let n = 0; n < 16; n++) await publisher.expect('PublishAck')
    const before = arrayBuffers()
    const count = 24
    for (let n = 0; n < count; n++) {
      publisher.send(publishFrame('a', Buffer.alloc(40 * 1024, n), { key: `${n}`.padEnd(4 * 1024 * 1024) }))
      await publisher.expect('PublishAck')
    }
    // Kept whole they would be twice as much; what was not collected yet may be some of it.
    expect(arrayBuffers() - before).toBeLessThan(count * 2 * 1024 * 1024)
    stalled.socket.resume()
    for (let n = 0; n < 16; n++) await stalled.expect('Deliver')
    for (let n = 0; n < count; n++) {
      const { payload } = (await stalled.expect('Deliver')).envelope
      expect(payload.length).toBe(40 * 1024)
      expect(payload.every((byte) => byte === n)).toBe(true)
    }
  })

  it('disconnects a peer that leaves its replies unread, and nobody else', async () => {
    // Without keepalive nobody is disconnected for being slow, and the patience is a minute.
    const server = await startServer({ keepaliveMs: 0, limits: { outboxBytes: 64 * 1024 } })
    const peer = await plainPeer(server)
    const other = await plainPeer(server)
    const failed = diagnosed<SessionFailed>(SESSION_FAILED)
    const closed = diagnosed<SessionClosed>(SESSION_CLOSED)
    onTestFinished(() => {
      vi.useRealTimers()
    })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    peer.socket.pause()
    const pings = Buffer.alloc(10 * 10_000)
    for (let at = 0; at < pings.length; at += 10) pings[at] = 0x13
    const feed = (): void => {
      while (!peer.socket.destroyed && peer.socket.write(pings));
    }
    peer.socket.on('drain', feed)
    feed()
    const { error, sessionId } = await passing(failed)
    expect(error).toMatchObject({ code: 'OUTBOX_FULL' })
    expect(error.message).toContain('leaves its replies unread')
    peer.socket.resume()
    expect((await passing(closed)).sessionId).toBe(sessionId)
    other.send(PING)
    await other.until('Pong')
    expect(server.sessions).toHaveLength(1)
  })

  it('brings a peer that reads all of its large replies, however many it asked for at once', async () => {
    const server = await startServer({ limits: { outboxBytes: 64 * 1024 } })
    await server.bus.respond('blob', () => Buffer.alloc(1024 * 1024), { payload: 'bytes' }).ready()
    const peer = await extendedPeer(server)
    const streams = Array.from({ length: 40 }, (_, n) => 3 + 2 * n)
    peer.send(openFrame(1n, 'blob'), ...streams.map((streamId) => messageFrame(1n, '', { streamId })), PING)
    const answered: number[] = []
    while (answered.length < streams.length) {
      const frame = await peer.next()
      if (frame.type !== 'Pong') answered.push(frame.type === 'ConversationMessage' ? frame.streamId : 0)
    }
    expect(answered).toEqual(streams)
    peer.send(messageFrame(1n, '', { streamId: 3 }))
    expect((await peer.next()).type).toBe('ConversationMessage')
  })

  it('refuses replies for which there is no room to wait, and keeps the connection', async () => {
    const limits = { outboxBytes: 64 * 1024, pendingRequestBytesPerConnection: 9 * 1024 * 1024 }
    const server = await startServer({ limits })
    await server.bus.respond('blob', () => Buffer.alloc(4 * 1024 * 1024), { payload: 'bytes' }).ready()
    const peer = await extendedPeer(server)
    const streams = Array.from({ length: 6 }, (_, n) => 3 + 2 * n)
    peer.send(openFrame(1n, 'blob'), ...streams.map((streamId) => messageFrame(1n, '', { streamId })))
    const frames = []
    for (const _ of streams) frames.push(await peer.next())
    const refused = frames.filter((frame) => frame.type === 'ConversationError')
    expect(frames.slice(0, 3).map((frame) => frame.type)).toEqual(
      Array.from({ length: 3 }, () => 'ConversationMessage'),
    )
    expect(refused.length).toBeGreaterThan(0)
    for (const frame of refused) expect(frame).toMatchObject({ reasonCode: ReasonCode.LimitExceeded })
    peer.send(messageFrame(1n, '', { streamId: 3 }))
    expect((await peer.next()).type).toBe('ConversationMessage')
  })

  it('keeps the frames of a conversation in order while its replies wait for room', async () => {
    const server = await startServer({ limits: { outboxBytes: 64 * 1024 } })
    let asked = 0
    const behaviour = async (): Promise<Uint8Array> => {
      asked++
      if (asked <= 2) return Buffer.alloc(8 * 1024 * 1024)
      // Later than the replies, of which one is on its way now and the other waits.
      await nextTurn()
      throw new Error('spent')
    }
    await server.bus.respond('blob', behaviour, { payload: 'bytes' }).ready()
    const peer = await extendedPeer(server)
    const asks = [3, 5, 7].map((streamId) => messageFrame(1n, '', { streamId }))
    peer.send(openFrame(1n, 'blob'), ...asks)
    const types = [await peer.next(), await peer.next(), await peer.next()].map((frame) => frame.type)
    expect(types).toEqual(['ConversationMessage', 'ConversationMessage', 'ConversationError'])
  })
})
