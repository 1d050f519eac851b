import { describe, expect, it } from 'vitest'
import { typescriptCodec } from '../../ts/codec/index.ts'
import { ALL_CAPABILITIES, EXTENSION_MASK, ReasonCode } from '../../ts/protocol/index.ts'
import { SESSION_FAILED, type SessionFailed } from '../../ts/server/index.ts'
import { diagnosed, plainPeer, startServer, strangePeer } from './fixture.ts'
import { connectFrame, DISCONNECT, openFrame, PING, publishFrame, subscribeFrame } from './raw-peer.ts'

describe('the handshake', () => {
  it('selects 1.0 and grants nothing to a peer that offers nothing', async () => {
    const peer = await strangePeer(await startServer())
    peer.send(connectFrame())
    expect(await peer.next()).toEqual({
      type: 'ConnectAck',
      flags: 0,
      streamId: 0,
      selectedVersion: { major: 1, minor: 0 },
      capabilities: 0,
    })
  })

  it('grants every extension to a peer that understands them, in the upper half only', async () => {
    const server = await startServer()
    const peer = await strangePeer(server)
    peer.send(connectFrame({ flags: 0x80 }))
    const ack = await peer.expect('ConnectAck')
    expect(ack.capabilities).toBe(ALL_CAPABILITIES)
    expect((ack.capabilities & ~EXTENSION_MASK) >>> 0).toBe(0)
    expect(server.sessions[0]).toMatchObject({ phase: 'open', capabilities: ALL_CAPABILITIES })
  })

  it('selects 1.0 from a range that contains it', async () => {
    const peer = await strangePeer(await startServer())
    peer.send(connectFrame({ min: 0, max: 7 }))
    expect((await peer.expect('ConnectAck')).selectedVersion).toEqual({ major: 1, minor: 0 })
  })

  it.each([
    [2, 3],
    [0, 0],
    [2, 1],
  ])('refuses versions %i to %i and closes', async (min, max) => {
    const peer = await strangePeer(await startServer())
    peer.send(connectFrame({ min, max }))
    expect((await peer.expect('ConnectError')).reasonCode).toBe(ReasonCode.VersionMismatch)
    await peer.ended
  })

  it.each(['', 'secre', 'secretly', 'SECRET'])('refuses the token %j and closes', async (token) => {
    const peer = await strangePeer(await startServer({ authToken: 'secret' }))
    peer.send(connectFrame({ token }))
    expect((await peer.expect('ConnectError')).reasonCode).toBe(ReasonCode.AuthenticationFailure)
    await peer.ended
  })

  it('judges the token before the version', async () => {
    const peer = await strangePeer(await startServer({ authToken: 'secret' }))
    peer.send(connectFrame({ token: 'wrong', min: 5, max: 5 }))
    expect((await peer.expect('ConnectError')).reasonCode).toBe(ReasonCode.AuthenticationFailure)
  })

  it.each([
    ['text', 'secret'],
    ['bytes', Buffer.from('secret')],
  ])('takes the token configured as %s', async (_kind, authToken) => {
    const peer = await strangePeer(await startServer({ authToken }))
    peer.send(connectFrame({ token: 'secret' }))
    await peer.expect('ConnectAck')
  })

  it('takes any token where none is configured', async () => {
    const peer = await strangePeer(await startServer())
    peer.send(connectFrame({ token: 'whatever' }))
    await peer.expect('ConnectAck')
  })

  it('refuses a second Connect and closes', async () => {
    const peer = await plainPeer(await startServer())
    peer.send(connectFrame())
    expect((await peer.expect('ConnectError')).reasonCode).toBe(ReasonCode.InvalidStateTransition)
    await peer.ended
  })

  it.each([
    ['Publish', publishFrame('orders', '1')],
    ['Subscribe', subscribeFrame('orders', 1)],
    ['ConversationOpen', openFrame(1n, 'greet')],
    ['Unsubscribe', { type: 'Unsubscribe', flags: 0, streamId: 1, subscriptionId: 1n }],
    ['Pong', { type: 'Pong', flags: 0, streamId: 0 }],
  ] as const)('refuses %s before Connect, without effect, and closes', async (_type, frame) => {
    const server = await startServer()
    const peer = await strangePeer(server)
    peer.send(frame, connectFrame())
    const refusal = await peer.expect('ConnectError')
    expect(refusal.reasonCode).toBe(ReasonCode.InvalidStateTransition)
    await peer.ended
    await expect(peer.next()).rejects.toThrow('closed')
  })

  it('answers Ping before Connect', async () => {
    const peer = await strangePeer(await startServer())
    peer.send(PING, connectFrame())
    await peer.expect('Pong')
    await peer.expect('ConnectAck')
  })

  it('lets a peer leave before Connect', async () => {
    const peer = await strangePeer(await startServer())
    peer.send(PING, DISCONNECT)
    await peer.expect('Pong')
    await peer.ended
  })

  it('skips types that it does not know, before and after Connect', async () => {
    const peer = await strangePeer(await startServer())
    const unknown = { type: 'Unknown', typeId: 0x77, flags: 3, streamId: 9, payload: Buffer.from('future') } as const
    peer.send(unknown, connectFrame(), unknown, PING)
    await peer.expect('ConnectAck')
    await peer.expect('Pong')
  })

  it('ends a connection that does not connect in time', async () => {
    const server = await startServer({ handshakeTimeoutMs: 30 })
    const failed = diagnosed<SessionFailed>(SESSION_FAILED)
    const peer = await strangePeer(server)
    const refusal = await peer.expect('ConnectError')
    expect(refusal.reasonCode).toBe(ReasonCode.ServerError)
    expect(refusal.message).toContain('30 ms')
    await peer.ended
    expect((await failed).error.code).toBe('TIMEOUT')
  })

  it('does not take a trickle of bytes for a handshake', async () => {
    const server = await startServer({ handshakeTimeoutMs: 60 })
    const peer = await strangePeer(server)
    peer.write(Buffer.from([0x01, 0x00, 0x00]))
    const trickle = setInterval(() => peer.write(Buffer.from([0])), 5)
    await peer.ended
    clearInterval(trickle)
    expect(server.sessions.filter((session) => session.phase === 'handshake')).toEqual([])
  })

  it('keeps no large frame for a peer that has not connected', async () => {
    const peer = await strangePeer(await startServer())
    const connect = Buffer.from(typescriptCodec.encode(connectFrame({ token: 'x'.repeat(1_000_000) })))
    peer.write(connect.subarray(0, 200_000))
    expect((await peer.expect('ConnectError')).reasonCode).toBe(ReasonCode.Codec)
    await peer.ended
  })

  it('leaves a connection alone that has connected in time', async () => {
    const server = await startServer({ handshakeTimeoutMs: 40 })
    const peer = await plainPeer(server)
    const late = await strangePeer(server)
    await late.ended
    expect(await peer.rest()).toEqual([])
  })

  it('skips types that only a server sends, and the advisory ones', async () => {
    const peer = await plainPeer(await startServer())
    peer.send(
      { type: 'Pong', flags: 0, streamId: 0 },
      { type: 'Accept', flags: 0, streamId: 1, referencedMessageId: '1' },
      { type: 'Defer', flags: 0, streamId: 1, referencedMessageId: '1', reason: null },
      { type: 'Reject', flags: 0, streamId: 1, referencedMessageId: '1', reason: 'no' },
      { type: 'Push', flags: 0, streamId: 1, correlationId: 1n, payload: Buffer.from('x') },
      { type: 'PushReply', flags: 0, streamId: 1, correlationId: 1n, payload: Buffer.from('x') },
      { type: 'PublishAck', flags: 0, streamId: 1, messageId: 1n },
      { type: 'ConversationError', flags: 0, streamId: 2, conversationId: 1n, reasonCode: 1, message: null },
    )
    expect(await peer.rest()).toEqual([])
  })
})
