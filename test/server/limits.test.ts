import { once } from 'node:events'
import { createServer as createListener } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createBus } from '../../ts/bus/index.ts'
import { typescriptCodec } from '../../ts/codec/index.ts'
import { type Frame, ReasonCode } from '../../ts/protocol/index.ts'
import {
  CONNECTION_REFUSED,
  type ConnectionRefused,
  createServer,
  DEFAULT_LIMITS,
  SESSION_CLOSED,
  SESSION_FAILED,
  SESSION_OPENED,
  type ServerOptions,
  type SessionClosed,
  type SessionFailed,
  type SessionOpened,
  serve,
} from '../../ts/server/index.ts'
import { deferred, diagnosed, extendedPeer, plainPeer, startServer, strangePeer } from './fixture.ts'
import { messageFrame, openFrame, publishFrame, RawPeer, subscribeFrame, textOf } from './raw-peer.ts'

describe('the connections of a server', () => {
  it('are refused past the limit with a reason, and welcome again when one has closed', async () => {
    const server = await startServer({ limits: { connections: 2 } })
    const [first] = [await plainPeer(server), await plainPeer(server)]
    const refused = diagnosed<ConnectionRefused>(CONNECTION_REFUSED)
    const third = await strangePeer(server)
    const error = await third.expect('ConnectError')
    expect(error).toMatchObject({
      reasonCode: ReasonCode.ServerError,
      message: expect.stringContaining('2 connections'),
    })
    await third.ended
    expect((await refused).error.code).toBe('LIMIT_EXCEEDED')
    const closed = diagnosed<SessionClosed>(SESSION_CLOSED)
    first.destroy()
    await closed
    await plainPeer(server)
    expect(server.sessions).toHaveLength(2)
  })

  it('are exactly as many as allowed when they come all at once', async () => {
    const server = await startServer({ limits: { connections: 5 } })
    const peers = await Promise.all(Array.from({ length: 20 }, () => RawPeer.open(server)))
    onTestFinished(() => {
      for (const peer of peers) peer.destroy()
    })
    const refused = peers.map((peer) => peer.ended.then(() => peer))
    const told = new Set<RawPeer>()
    for (let n = 0; n < 15; n++) {
      const peer = await Promise.race(refused.filter((_, index) => !told.has(peers[index])))
      await peer.expect('ConnectError')
      told.add(peer)
    }
    expect(server.sessions).toHaveLength(5)
  })

  it('are told as they open and close', async () => {
    const server = await startServer()
    const opened = diagnosed<SessionOpened>(SESSION_OPENED)
    const closed = diagnosed<SessionClosed>(SESSION_CLOSED)
    const peer = await plainPeer(server)
    const { sessionId, remoteAddress } = await opened
    expect(server.sessions).toMatchObject([{ id: sessionId, remoteAddress, subscriptions: 0, outboxBytes: 0 }])
    peer.destroy()
    expect(await closed).toMatchObject({ sessionId, remoteAddress })
    expect(server.sessions).toEqual([])
  })
})

describe('the size of frames', () => {
  it('is judged by the header alone', async () => {
    const server = await startServer({ limits: { frameBytes: 2_048 } })
    const peer = await plainPeer(server)
    const header = Buffer.from(typescriptCodec.encode(publishFrame('a', Buffer.alloc(4_096)))).subarray(0, 10)
    peer.write(header)
    expect(await peer.expect('ConnectError')).toMatchObject({ reasonCode: ReasonCode.Codec })
    await peer.ended
  })

  it('lets the largest through', async () => {
    const server = await startServer({ limits: { frameBytes: 2_048 } })
    const peer = await plainPeer(server)
    // A name of four bytes: the head of its Publish is as long as that of the Deliver.
    const overhead = typescriptCodec.encodedLength(publishFrame('four', ''))
    peer.send(subscribeFrame('four', 1), publishFrame('four', Buffer.alloc(2_048 - overhead), { streamId: 3 }))
    expect((await peer.until('PublishAck')).map((frame) => frame.type)).toEqual([
      'SubscribeAck',
      'Deliver',
      'PublishAck',
    ])
  })

  it('sheds a subscription whose Deliver would be too large, and keeps its connection', async () => {
    const server = await startServer({ limits: { frameBytes: 2_048 } })
    const peer = await extendedPeer(server)
    const overhead = typescriptCodec.encodedLength(publishFrame('a', ''))
    peer.send(subscribeFrame('a', 1))
    await peer.expect('SubscribeAck')
    peer.send(
      publishFrame('a', 'fits', { streamId: 3 }),
      publishFrame('a', Buffer.alloc(2_048 - overhead), { streamId: 3 }),
    )
    const frames = await peer.until('SubscribeError')
    expect(frames.at(-1)).toMatchObject({
      streamId: 1,
      reasonCode: ReasonCode.SubscriptionShed,
      message: expect.stringContaining('2048 bytes at most'),
    })
    peer.send(subscribeFrame('a', 1), publishFrame('a', 'again', { streamId: 3 }))
    expect(textOf(await deliverOf(peer))).toBe('again')
  })
})

async function deliverOf(peer: RawPeer): Promise<Extract<Frame, { type: 'Deliver' }>> {
  for (;;) {
    const frame = await peer.next()
    if (frame.type === 'Deliver') return frame
  }
}

describe('requests underway', () => {
  it('are refused past their bytes, and welcome again when one was answered', async () => {
    const server = await startServer({ limits: { pendingRequestBytesPerConnection: 1_000 } })
    const answer = deferred<Uint8Array>()
    await server.bus.respond('work', () => answer.promise, { payload: 'bytes' }).ready()
    const peer = await extendedPeer(server)
    const ask = (streamId: number): Frame => messageFrame(1n, Buffer.alloc(600), { streamId })
    peer.send(openFrame(1n, 'work'), ask(3), ask(5))
    expect(await peer.expect('ConversationError')).toMatchObject({
      streamId: 5,
      reasonCode: ReasonCode.LimitExceeded,
      message: expect.stringContaining('1000 bytes'),
    })
    answer.resolve(Buffer.from('done'))
    expect(await peer.expect('ConversationMessage')).toMatchObject({ streamId: 3 })
    peer.send(ask(7))
    expect(await peer.expect('ConversationMessage')).toMatchObject({ streamId: 7 })
  })

  it('count messages that want no reply by their bytes too', async () => {
    const server = await startServer({ limits: { pendingRequestBytesPerConnection: 1_000 } })
    const done = deferred<void>()
    await server.bus.respond('work', () => done.promise, { payload: 'bytes' }).ready()
    const peer = await extendedPeer(server)
    const tell = (streamId: number): Frame => messageFrame(1n, Buffer.alloc(600), { streamId, flags: 0 })
    peer.send(openFrame(1n, 'work'), tell(3), tell(5))
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 5, reasonCode: ReasonCode.LimitExceeded })
    done.resolve()
    await done.promise
    peer.send(tell(7))
    expect(await peer.rest()).toEqual([])
  })
})

describe('a peer that has not connected', () => {
  it('is disconnected when it leaves its Pongs unread', async () => {
    const server = await startServer()
    const peer = await strangePeer(server)
    const failed = diagnosed<SessionFailed>(SESSION_FAILED)
    peer.socket.pause()
    const pings = Buffer.alloc(10 * 10_000)
    for (let at = 0; at < pings.length; at += 10) pings[at] = 0x13
    const feed = (): void => {
      while (!peer.socket.destroyed && peer.socket.write(pings));
    }
    peer.socket.on('drain', feed)
    feed()
    expect((await failed).error).toMatchObject({ code: 'OUTBOX_FULL', message: expect.stringContaining('65536 bytes') })
  })
})

describe('options', () => {
  const unknownLimit: object = { subscriptions: 3 }
  const unusable: [string, ServerOptions][] = [
    ...Object.keys(DEFAULT_LIMITS).flatMap((name) =>
      [0, 1.5, Number.POSITIVE_INFINITY].map((value): [string, ServerOptions] => [
        `limits.${name}`,
        { limits: { [name]: value } },
      ]),
    ),
    ['limits', { limits: unknownLimit }],
    ['port', { port: -1 }],
    ['port', { port: 65_536 }],
    ['host', { host: '' }],
    ['authToken', { authToken: '' }],
    ['authToken', { authToken: new Uint8Array(0) }],
    ['handshakeTimeoutMs', { handshakeTimeoutMs: 0 }],
    ['handshakeTimeoutMs', { handshakeTimeoutMs: 2_147_483_648 }],
    ['keepaliveMs', { keepaliveMs: -1 }],
    ['replyTimeoutMs', { replyTimeoutMs: Number.NaN }],
  ]
  it.each(unusable)('refuses a %s that cannot be kept: %j', async (name, options) => {
    const promise = createServer({ port: 0, ...options })
    await expect(promise).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(name) })
  })

  it('says which address it cannot listen on, and why', async () => {
    const other = createListener().listen(0, '127.0.0.1')
    onTestFinished(() => {
      other.close()
    })
    await once(other, 'listening')
    const address = other.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await expect(createServer({ port })).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: expect.stringContaining(`127.0.0.1:${port}: another process`),
      cause: expect.objectContaining({ code: 'EADDRINUSE' }),
    })
  })

  it('refuses a bus that is closed', async () => {
    const bus = await createBus()
    await bus.close()
    await expect(serve(bus, { port: 0 })).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('gives its address and url', async () => {
    const server = await startServer()
    expect(server.address.host).toBe('127.0.0.1')
    expect(server.url).toBe(`liminal://127.0.0.1:${server.address.port}`)
    const six = await startServer({ host: '::1' })
    expect(six.url).toBe(`liminal://[::1]:${six.address.port}`)
  })

  it('serves one bus on several addresses', async () => {
    const bus = await createBus()
    onTestFinished(() => bus.close())
    const [one, two] = [await serve(bus, { port: 0 }), await serve(bus, { port: 0 })]
    const subscriber = await plainPeer(one)
    subscriber.send(subscribeFrame('a', 1))
    await subscriber.expect('SubscribeAck')
    const publisher = await plainPeer(two)
    publisher.send(publishFrame('a', '1'))
    await subscriber.expect('Deliver')
    for (const peer of [subscriber, publisher]) peer.destroy()
  })
})
