import { describe, expect, it } from 'vitest'
import { messageHeadBytes } from '../../ts/conversation/index.ts'
import type { LiminalError } from '../../ts/errors.ts'
import {
  CONFIRM,
  type Frame,
  HAS_HEAD,
  OPEN_OFFER,
  REPLY_REQUESTED,
  ReasonCode,
  readHead,
  readRequestHead,
} from '../../ts/protocol/index.ts'
import { extendedPeer, plainPeer, startServer } from './fixture.ts'
import { closeFrame, messageFrame, openFrame, type RawPeer, textOf } from './raw-peer.ts'

const OFFER = OPEN_OFFER | CONFIRM

async function offered(peer: RawPeer, subject: string, id = 1n, streamId = 1): Promise<void> {
  const frame = openFrame(id, subject, { streamId, flags: OFFER })
  peer.send(frame)
  expect(await peer.next()).toEqual(frame)
}

function failureOf(promise: Promise<unknown>): Promise<LiminalError> {
  return promise.then(
    (value) => expect.fail(`resolved with ${String(value)}`),
    (error: LiminalError) => error,
  )
}

describe('responders behind a connection', () => {
  it('get a conversation and requests on even streams, and their replies reach whoever asked', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await offered(peer, 'greet')
    const causal = { parentId: 'p', vectorClockEntry: 3n }
    const answer = server.bus.ask('greet', { name: 'Ada' }, { causal })
    const open = await peer.expect('ConversationOpen')
    expect(open).toMatchObject({ flags: 0, subject: 'greet' })
    expect(open.streamId % 2).toBe(0)
    const request = await peer.expect('ConversationMessage')
    expect(request).toMatchObject({ flags: REPLY_REQUESTED | HAS_HEAD, conversationId: open.conversationId })
    expect(readRequestHead(readHead(request.envelope.payload))).toEqual({ deadline: expect.any(Number) })
    expect(request.streamId % 2).toBe(0)
    expect(request.streamId).not.toBe(open.streamId)
    expect(request.envelope.causal).toEqual(causal)
    expect(textOf(request)).toBe('{"name":"Ada"}')
    peer.send(messageFrame(request.conversationId, '{"hello":"Ada"}', { streamId: request.streamId }))
    expect(await answer).toEqual({ hello: 'Ada' })
    expect(await peer.expect('ConversationClose')).toMatchObject({
      streamId: open.streamId,
      conversationId: open.conversationId,
    })
  })

  it.each<[string, (open: { streamId: number; conversationId: bigint }) => Frame]>([
    ['close', ({ streamId, conversationId }) => closeFrame(conversationId, { streamId })],
    ['disconnect', () => ({ type: 'Disconnect', flags: 0, streamId: 0 })],
  ])('reply, and %s in the same chunk: the reply comes first', async (_how, leaving) => {
    const server = await startServer()
    const responder = await extendedPeer(server)
    await offered(responder, 'work')
    const asker = await extendedPeer(server)
    asker.send(openFrame(1n, 'work'), messageFrame(1n, 'a', { streamId: 3 }))
    const open = await responder.expect('ConversationOpen')
    const request = await responder.expect('ConversationMessage')
    responder.send(messageFrame(request.conversationId, 'A', { streamId: request.streamId }), leaving(open))
    expect(textOf(await asker.expect('ConversationMessage'))).toBe('A')
    expect((await asker.next()).type).toMatch(/Conversation(Close|Error)/)
  })

  it('reply more than their asker reads, and leave: the end comes behind the replies', async () => {
    const server = await startServer({ limits: { outboxBytes: 1024 * 1024 } })
    const responder = await extendedPeer(server)
    await offered(responder, 'work')
    const asker = await extendedPeer(server)
    asker.socket.pause()
    const streams = [3, 5, 7, 9]
    asker.send(openFrame(1n, 'work'), ...streams.map((streamId) => messageFrame(1n, 'a', { streamId })))
    const open = await responder.expect('ConversationOpen')
    // More than the kernel's buffers and the outbox take, so that the others have to wait.
    const replies = ['x'.repeat(15 * 1024 * 1024), 'B', 'C', 'D']
    for (const reply of replies) {
      const { conversationId, streamId } = await responder.expect('ConversationMessage')
      responder.send(messageFrame(conversationId, reply, { streamId }))
    }
    responder.send(closeFrame(open.conversationId, { streamId: open.streamId }))
    responder.send({ type: 'Ping', flags: 0, streamId: 0 })
    await responder.until('Pong')
    asker.socket.resume()
    for (const reply of replies) expect(textOf(await asker.expect('ConversationMessage')) === reply).toBe(true)
    await asker.expect('ConversationClose')
  })

  it('hear why a conversation is closed, in text that a frame can carry', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await offered(peer, 'talk')
    const conversation = await server.bus.converse('talk')
    await peer.expect('ConversationOpen')
    await conversation.close('enough \ud800 said')
    const close = await peer.expect('ConversationClose')
    expect(close).toMatchObject({ reasonCode: null, message: 'enough \ufffd said' })
  })

  it('get no frame that is too large by its head alone', async () => {
    const frameBytes = 4_096
    const server = await startServer({ limits: { frameBytes } })
    const peer = await extendedPeer(server)
    await offered(peer, 'work')
    // What a frame has room for, but for the deadline that an ask has.
    const content = 'x'.repeat(frameBytes - messageHeadBytes(null) - 2)
    const error = await failureOf(server.bus.ask('work', content))
    expect(error).toMatchObject({ code: 'LIMIT_EXCEEDED' })
    const conversation = await server.bus.converse('work')
    conversation.send(content)
    const largest = (await peer.until('ConversationMessage')).at(-1)
    expect(largest).toMatchObject({ flags: 0 })
    if (largest?.type === 'ConversationMessage') expect(textOf(largest)).toBe(`"${content}"`)
    await conversation.close()
  })

  it('answer another connection, out of order', async () => {
    const server = await startServer()
    const responder = await extendedPeer(server)
    await offered(responder, 'work')
    const asker = await plainPeer(server)
    asker.send(openFrame(1n, 'work'), messageFrame(1n, 'a', { streamId: 3 }), messageFrame(1n, 'b', { streamId: 5 }))
    await responder.expect('ConversationOpen')
    const a = await responder.expect('ConversationMessage')
    const b = await responder.expect('ConversationMessage')
    expect(a.streamId).not.toBe(b.streamId)
    responder.send(
      messageFrame(b.conversationId, 'B', { streamId: b.streamId }),
      messageFrame(a.conversationId, 'A', { streamId: a.streamId }),
    )
    const replies = [await asker.expect('ConversationMessage'), await asker.expect('ConversationMessage')]
    expect(replies.map((reply) => [reply.streamId, textOf(reply)])).toEqual([
      [5, 'B'],
      [3, 'A'],
    ])
  })

  it('take turns', async () => {
    const server = await startServer()
    const peers = [await extendedPeer(server), await extendedPeer(server)]
    for (const peer of peers) await offered(peer, 'work')
    const answers = [server.bus.ask('work', 1), server.bus.ask('work', 2)]
    for (const peer of peers) {
      const request = (await peer.until('ConversationMessage')).at(-1)
      if (request?.type !== 'ConversationMessage') throw new Error('no request')
      peer.send(messageFrame(request.conversationId, textOf(request), { streamId: request.streamId }))
    }
    expect(await Promise.all(answers)).toEqual([1, 2])
  })

  it('fail a request in their own words, and the conversation goes on', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await offered(peer, 'work')
    await using conversation = await server.bus.converse('work')
    const failing = failureOf(conversation.request('a'))
    const open = await peer.expect('ConversationOpen')
    const request = await peer.expect('ConversationMessage')
    const { conversationId, streamId } = request
    peer.send({
      type: 'ConversationError',
      flags: 0,
      streamId,
      conversationId,
      reasonCode: ReasonCode.ResponderFailed,
      message: 'out of stock',
    })
    expect(await failing).toMatchObject({ code: 'RESPONDER_FAILED', message: expect.stringContaining('out of stock') })
    const answer = conversation.request('b')
    const next = await peer.expect('ConversationMessage')
    expect(next.conversationId).toBe(open.conversationId)
    peer.send(messageFrame(next.conversationId, '"B"', { streamId: next.streamId }))
    expect(await answer).toBe('B')
  })

  it('may not say what only the bus can', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await offered(peer, 'work')
    const failing = failureOf(server.bus.ask('work', 1))
    await peer.expect('ConversationOpen')
    const { conversationId, streamId } = await peer.expect('ConversationMessage')
    const reasonCode = ReasonCode.AuthenticationFailure
    peer.send({ type: 'ConversationError', flags: 0, streamId, conversationId, reasonCode, message: 'no' })
    expect((await failing).code).toBe('RESPONDER_FAILED')
  })

  it('get messages that want no reply on the stream of the open', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await offered(peer, 'work')
    await using conversation = await server.bus.converse('work')
    conversation.send('fire')
    const open = await peer.expect('ConversationOpen')
    expect(await peer.expect('ConversationMessage')).toMatchObject({ flags: 0, streamId: open.streamId })
  })

  it('hear of a request that is given up, and their late reply is dropped', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await offered(peer, 'work')
    await using conversation = await server.bus.converse('work')
    const late = failureOf(conversation.request('slow', { timeoutMs: 20 }))
    await peer.expect('ConversationOpen')
    const slow = await peer.expect('ConversationMessage')
    expect((await late).code).toBe('TIMEOUT')
    expect(await peer.expect('ConversationError')).toMatchObject({
      streamId: slow.streamId,
      conversationId: slow.conversationId,
      reasonCode: ReasonCode.Aborted,
    })
    const answer = conversation.request('quick')
    const quick = await peer.expect('ConversationMessage')
    expect(quick.streamId).not.toBe(slow.streamId)
    peer.send(
      messageFrame(slow.conversationId, '"late"', { streamId: slow.streamId }),
      messageFrame(quick.conversationId, '"in time"', { streamId: quick.streamId }),
    )
    expect(await answer).toBe('in time')
  })

  it.each([
    [null, 'CONVERSATION_CLOSED'],
    [ReasonCode.PayloadInvalid, 'PAYLOAD_INVALID'],
  ])('may leave the conversation, with reason %s', async (reasonCode, code) => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await offered(peer, 'work')
    await using conversation = await server.bus.converse('work')
    const pending = failureOf(conversation.request('a'))
    const ended = conversation.closed.then(
      () => null,
      (error: LiminalError) => error.code,
    )
    const { streamId, conversationId } = await peer.expect('ConversationOpen')
    await peer.expect('ConversationMessage')
    peer.send({ type: 'ConversationClose', flags: 0, streamId, conversationId, reasonCode, message: null })
    expect((await pending).code).toBe(code)
    expect(await ended).toBe(reasonCode === null ? null : code)
    expect(await peer.rest()).toEqual([])
  })

  it('may refuse the conversation with an error on the stream of its open', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await offered(peer, 'work')
    const failing = failureOf(server.bus.ask('work', 1))
    const { streamId, conversationId } = await peer.expect('ConversationOpen')
    const reasonCode = ReasonCode.ParticipantGone
    peer.send({ type: 'ConversationError', flags: 0, streamId, conversationId, reasonCode, message: 'gone' })
    expect((await failing).code).toBe('PARTICIPANT_GONE')
  })

  it('fail everything that waits for them when their connection is gone, at once', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await offered(peer, 'work')
    await using conversation = await server.bus.converse('work')
    const waiting = [failureOf(conversation.request('a')), failureOf(server.bus.ask('work', 1, { timeoutMs: 60_000 }))]
    const ended = failureOf(conversation.closed)
    await peer.until('ConversationMessage')
    await peer.until('ConversationMessage')
    peer.destroy()
    for (const error of await Promise.all(waiting)) expect(error.code).toBe('PARTICIPANT_GONE')
    expect((await ended).code).toBe('PARTICIPANT_GONE')
    expect((await failureOf(server.bus.ask('work', 1))).code).toBe('NO_RESPONDER')
  })

  it('are gone when their connection says Disconnect, and when it is half-closed', async () => {
    const server = await startServer()
    for (const leave of [
      (peer: RawPeer) => peer.send({ type: 'Disconnect', flags: 0, streamId: 0 }),
      (peer: RawPeer) => peer.socket.end(),
    ]) {
      const peer = await extendedPeer(server)
      await offered(peer, 'work')
      const failing = failureOf(server.bus.ask('work', 1, { timeoutMs: 60_000 }))
      await peer.until('ConversationMessage')
      leave(peer)
      expect((await failing).code).toBe('PARTICIPANT_GONE')
    }
  })

  it('tell the asking connection of their death on the request, and on the open', async () => {
    const server = await startServer()
    const responder = await extendedPeer(server)
    await offered(responder, 'work')
    const asker = await extendedPeer(server)
    const plain = await plainPeer(server)
    for (const peer of [asker, plain]) {
      peer.send(openFrame(1n, 'work', { streamId: 1 }), messageFrame(1n, 'a', { streamId: 3 }))
      await responder.until('ConversationMessage')
    }
    responder.destroy()
    const reasonCode = ReasonCode.ParticipantGone
    expect(await asker.expect('ConversationError')).toMatchObject({ streamId: 3, reasonCode })
    expect(await asker.expect('ConversationError')).toMatchObject({ streamId: 1, reasonCode })
    // A peer of 1.0 hears nothing that it did not ask for, and the reason when it asks.
    expect(await plain.expect('ConversationError')).toMatchObject({ streamId: 3 })
    expect(await plain.rest()).toEqual([])
    plain.send(messageFrame(1n, 'b', { streamId: 5 }))
    expect(await plain.expect('ConversationError')).toMatchObject({ streamId: 5 })
    plain.send(closeFrame(1n))
    expect(await plain.rest()).toEqual([])
    expect(server.sessions.map((session) => session.conversations)).toEqual([0, 0])
  })

  it('are withdrawn by a close of their id, and finish what is underway', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await offered(peer, 'work', 5n, 9)
    const answer = server.bus.ask('work', 1)
    await peer.expect('ConversationOpen')
    const request = await peer.expect('ConversationMessage')
    const withdraw = closeFrame(5n, { streamId: 9, flags: CONFIRM })
    peer.send(withdraw)
    expect(await peer.next()).toEqual(withdraw)
    expect((await failureOf(server.bus.ask('work', 1))).code).toBe('NO_RESPONDER')
    peer.send(messageFrame(request.conversationId, '"done"', { streamId: request.streamId }))
    expect(await answer).toBe('done')
  })

  it('share the ids of the conversations of their connection', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await offered(peer, 'work', 1n, 1)
    peer.send(openFrame(1n, 'work', { streamId: 3 }), openFrame(1n, 'other', { streamId: 5, flags: OPEN_OFFER }))
    const reasonCode = ReasonCode.ConversationExists
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 3, reasonCode })
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 5, reasonCode })
  })

  it('may not open on the streams of the server', async () => {
    const peer = await extendedPeer(await startServer())
    peer.send(openFrame(1n, 'work', { streamId: 4, flags: OPEN_OFFER }))
    const reasonCode = ReasonCode.InvalidStream
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 4, reasonCode })
  })

  it('are not to be had for a peer without the extension: its open is an open', async () => {
    const server = await startServer()
    const peer = await plainPeer(server)
    peer.send(openFrame(1n, 'work', { streamId: 2, flags: OPEN_OFFER }))
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 2, reasonCode: ReasonCode.ServerError })
    expect(server.sessions[0].responders).toBe(0)
  })

  it("cannot answer or end another connection's conversations", async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await offered(peer, 'work')
    const answer = server.bus.ask('work', 1)
    const open = await peer.expect('ConversationOpen')
    const request = await peer.expect('ConversationMessage')
    const { conversationId } = request
    const intruder = await extendedPeer(server)
    intruder.send(
      messageFrame(conversationId, '"forged"', { streamId: request.streamId }),
      closeFrame(conversationId, { streamId: open.streamId }),
      closeFrame(1n, { streamId: 1 }),
      { type: 'ConversationError', flags: 0, streamId: request.streamId, conversationId, reasonCode: 1, message: null },
    )
    expect(await intruder.rest()).toEqual([])
    // Nor does an answer count that names another conversation than the stream does.
    peer.send(messageFrame(conversationId + 1n, '"wrong"', { streamId: request.streamId }))
    peer.send(messageFrame(conversationId, '"genuine"', { streamId: request.streamId }))
    expect(await answer).toBe('genuine')
  })

  it('take no more conversations and requests than their connection may have', async () => {
    const server = await startServer({ limits: { conversationsPerConnection: 2, pendingRequestsPerConnection: 1 } })
    const peer = await extendedPeer(server)
    await offered(peer, 'work')
    await using one = await server.bus.converse('work')
    await using _two = await server.bus.converse('work')
    expect((await failureOf(server.bus.converse('work'))).code).toBe('LIMIT_EXCEEDED')
    const answer = one.request('a')
    const request = (await peer.until('ConversationMessage')).at(-1)
    if (request?.type !== 'ConversationMessage') throw new Error('no request')
    expect((await failureOf(one.request('b'))).code).toBe('LIMIT_EXCEEDED')
    peer.send(messageFrame(request.conversationId, '"A"', { streamId: request.streamId }))
    expect(await answer).toBe('A')
  })

  it('refuse a request that is larger than a frame may be', async () => {
    const server = await startServer({ limits: { frameBytes: 2_048 } })
    const peer = await extendedPeer(server)
    await offered(peer, 'work')
    const error = await failureOf(server.bus.ask('work', new Uint8Array(4_096), { payload: 'bytes' }))
    expect(error.code).toBe('LIMIT_EXCEEDED')
  })
})
