import { getEventListeners } from 'node:events'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Conversation } from '../../ts/bus/index.ts'
import { Capability } from '../../ts/protocol/index.ts'
import { failure, pair, settled, streams, until } from './harness.ts'
import { type FrameOf, replyTo, type ScriptedPeer, textOf } from './scripted-server.ts'

function conversationError(
  frame: FrameOf<'ConversationMessage' | 'ConversationOpen'>,
  reasonCode: number,
  message: string,
) {
  const { streamId, conversationId } = frame
  return { type: 'ConversationError', flags: 0, streamId, conversationId, reasonCode, message } as const
}

/** Opens a conversation and agrees to it. */
async function opened(
  converse: Promise<Conversation>,
  peer: ScriptedPeer,
): Promise<[Conversation, FrameOf<'ConversationOpen'>]> {
  const open = await peer.expect('ConversationOpen')
  if ((open.flags & 0x40) !== 0) peer.send(open)
  return [await converse, open]
}

describe('ask', () => {
  it('opens and asks in one piece, and closes behind the reply', async () => {
    const { bus, peer, core } = await pair()
    const causal = { parentId: null, vectorClockEntry: 3n }
    const asking = bus.ask('grüße', { name: 'Ada' }, { causal })
    const open = await peer.expect('ConversationOpen')
    const request = await peer.expect('ConversationMessage')
    expect(peer.chunks.at(-1)?.map((frame) => frame.type)).toEqual(['ConversationOpen', 'ConversationMessage'])
    expect(open).toMatchObject({ flags: 0, subject: 'grüße', streamId: request.streamId })
    expect(request).toMatchObject({ flags: 1, conversationId: open.conversationId })
    expect(request.envelope.causal).toEqual(causal)
    expect(textOf(request)).toBe('{"name":"Ada"}')
    peer.send(replyTo(request, '{"hello":"Ada"}'))
    expect(await asking).toEqual({ hello: 'Ada' })
    expect(await peer.expect('ConversationClose')).toMatchObject({
      streamId: open.streamId,
      conversationId: open.conversationId,
      flags: 0,
      reasonCode: null,
    })
    expect(streams(core)).toBe(0)
  })

  it('knows replies by their stream, in whatever order', async () => {
    const { bus, peer } = await pair()
    const calls = Array.from({ length: 20 }, (_, index) => bus.ask<string>('work', index))
    const requests: FrameOf<'ConversationMessage'>[] = []
    while (requests.length < 20) {
      await peer.expect('ConversationOpen')
      requests.push(await peer.expect('ConversationMessage'))
    }
    for (const request of requests.reverse()) peer.send(replyTo(request, JSON.stringify(`re ${textOf(request)}`)))
    expect(await Promise.all(calls)).toEqual(calls.map((_, index) => `re ${index}`))
  })

  it('fails as the server says, once, and closes what may be open', async () => {
    const { bus, peer, core } = await pair()
    for (const [reasonCode, code] of [
      [0x8003, 'NO_RESPONDER'],
      [0x8004, 'RESPONDER_FAILED'],
      [0x8005, 'PARTICIPANT_GONE'],
      [0xffff, 'REMOTE_ERROR'],
    ] as const) {
      const asking = failure(bus.ask('work', 1), code)
      await peer.expect('ConversationOpen')
      const request = await peer.expect('ConversationMessage')
      peer.send(conversationError(request, reasonCode, 'so it is'), conversationError(request, 0x8006, 'not open'))
      expect((await asking).message).toBe('so it is')
      await peer.expect('ConversationClose')
    }
    expect(streams(core)).toBe(0)
  })

  it('fails for a reply that is not JSON', async () => {
    const { bus, peer } = await pair()
    const asking = failure(bus.ask('work', 1), 'PAYLOAD_INVALID')
    await peer.expect('ConversationOpen')
    peer.send(replyTo(await peer.expect('ConversationMessage'), '{'))
    await asking
    await peer.expect('ConversationClose')
  })

  it('closes when nobody waits any more, and drops the late reply', async () => {
    const { bus, peer, core } = await pair()
    const controller = new AbortController()
    const late = failure(bus.ask('work', 1, { timeoutMs: 10 }), 'TIMEOUT')
    const aborted = failure(bus.ask('work', 2, { signal: controller.signal }), 'ABORTED')
    const requests: FrameOf<'ConversationMessage'>[] = []
    while (requests.length < 2) {
      await peer.expect('ConversationOpen')
      requests.push(await peer.expect('ConversationMessage'))
    }
    await late
    expect((await peer.expect('ConversationClose')).streamId).toBe(requests[0].streamId)
    controller.abort()
    await aborted
    expect((await peer.expect('ConversationClose')).streamId).toBe(requests[1].streamId)
    for (const request of requests) peer.send(replyTo(request, '"late"'))
    await settled(peer)
    expect(streams(core)).toBe(0)
  })

  it('leaves nothing behind after 10,000 that timed out', async () => {
    const { bus, peer, core } = await pair()
    const controller = new AbortController()
    for (let round = 0; round < 10; round++) {
      const asks = Array.from({ length: 1_000 }, () => bus.ask('work', 1, { timeoutMs: 1, signal: controller.signal }))
      for (const outcome of await Promise.allSettled(asks))
        expect(outcome).toMatchObject({ reason: { code: 'TIMEOUT' } })
      await peer.rest()
    }
    expect([streams(core), core.waitingCalls, getEventListeners(controller.signal, 'abort').length]).toEqual([0, 0, 0])
  })
})

describe('converse', () => {
  it('resolves when the server has agreed, and fails if it does not', async () => {
    const { bus, peer, core } = await pair()
    let there = false
    const opening = bus.converse('work').then((conversation) => {
      there = true
      return conversation
    })
    const open = await peer.expect('ConversationOpen')
    expect(open.flags).toBe(0x40)
    await settled(peer)
    expect(there).toBe(false)
    peer.send(open)
    await opening
    const refused = failure(bus.converse('nobody'), 'NO_RESPONDER')
    peer.send(conversationError(await peer.expect('ConversationOpen'), 0x8003, 'nobody there'))
    await refused
    const silent = failure(bus.converse('silence', { timeoutMs: 5 }), 'TIMEOUT')
    const { streamId } = await peer.expect('ConversationOpen')
    await silent
    expect((await peer.expect('ConversationClose')).streamId).toBe(streamId)
    expect(streams(core)).toBe(1)
  })

  it('gives each request a stream of its own', async () => {
    const { bus, peer, core } = await pair()
    const [conversation, open] = await opened(bus.converse('work'), peer)
    expect(conversation.id).toBe(open.conversationId)
    const replies = Promise.all([conversation.request('one'), conversation.request('two')])
    conversation.send('three')
    const one = await peer.expect('ConversationMessage')
    const two = await peer.expect('ConversationMessage')
    const three = await peer.expect('ConversationMessage')
    expect([one.flags, two.flags, three.flags]).toEqual([1, 1, 0])
    expect(new Set([open.streamId, one.streamId, two.streamId]).size).toBe(3)
    expect(three.streamId).toBe(open.streamId)
    peer.send(replyTo(two, '2'), replyTo(one, '1'))
    expect(await replies).toEqual([1, 2])
    expect(streams(core)).toBe(1)
  })

  it('tells the server of a request that nobody waits for, and goes on', async () => {
    const { bus, peer, core } = await pair()
    const [conversation] = await opened(bus.converse('work'), peer)
    const late = failure(conversation.request('old', { timeoutMs: 5 }), 'TIMEOUT')
    const old = await peer.expect('ConversationMessage')
    await late
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: old.streamId, reasonCode: 0x8009 })
    const young = conversation.request('young')
    const request = await peer.expect('ConversationMessage')
    peer.send(replyTo(old, '"old"'), replyTo(request, '"young"'))
    expect(await young).toBe('young')
    expect(streams(core)).toBe(1)
  })

  it('ends with what the server says, and everything in it', async () => {
    const { bus, peer, core } = await pair()
    const [conversation, open] = await opened(bus.converse('work'), peer)
    const pending = failure(conversation.request(1), 'PARTICIPANT_GONE')
    await peer.expect('ConversationMessage')
    peer.send(conversationError(open, 0x8005, 'it died'))
    await pending
    await failure(conversation.closed, 'PARTICIPANT_GONE')
    await failure(conversation.request(2), 'PARTICIPANT_GONE')
    await failure(() => conversation.send(2), 'PARTICIPANT_GONE')
    await conversation.close()
    expect(streams(core)).toBe(0)
    await settled(peer)
  })

  it('ends well when the other side closes', async () => {
    const { bus, peer } = await pair()
    const [conversation, open] = await opened(bus.converse('work'), peer)
    const pending = failure(conversation.request(1), 'CONVERSATION_CLOSED')
    const { streamId, conversationId } = open
    peer.send({ type: 'ConversationClose', flags: 0, streamId, conversationId, reasonCode: null, message: null })
    await conversation.closed
    await pending
    await failure(conversation.request(2), 'CONVERSATION_CLOSED')
  })

  it('closes with a confirmation, and fails what is underway', async () => {
    const { bus, peer, core } = await pair()
    const [conversation, open] = await opened(bus.converse('work'), peer)
    const pending = failure(conversation.request(1), 'CONVERSATION_CLOSED')
    await peer.expect('ConversationMessage')
    let closed = false
    const closing = Promise.all([conversation.close(), conversation.close()]).then(() => {
      closed = true
    })
    await pending
    const close = await peer.expect('ConversationClose')
    expect(close).toMatchObject({ streamId: open.streamId, flags: 0x40 })
    await settled(peer)
    expect(closed).toBe(false)
    peer.send(close)
    await closing
    await conversation.closed
    expect(streams(core)).toBe(0)
  })

  it('is lost with the connection, also what waits for room', async () => {
    const { bus, peer, core } = await pair({ outboxBytes: 1_024 })
    const [conversation] = await opened(bus.converse('work'), peer)
    peer.socket.pause()
    const payload = 'x'.repeat(256 * 1024)
    const pending: Promise<unknown>[] = []
    while (core.waitingCalls === 0) {
      pending.push(failure(conversation.request(payload, { timeoutMs: 20_000 }), 'CONNECTION_LOST'))
      await new Promise((resolve) => setImmediate(resolve))
    }
    peer.kill()
    await Promise.all(pending)
    await failure(conversation.closed, 'CONNECTION_LOST')
    await failure(conversation.request(1), 'CONNECTION_LOST')
    expect(core.waitingCalls).toBe(0)
  })

  it('without confirmations does not wait for the server, and hears of a refusal later', async () => {
    const { bus, peer } = await pair({}, 0)
    const conversation = await bus.converse('work')
    const open = await peer.expect('ConversationOpen')
    expect(open.flags).toBe(0)
    const request = conversation.request(1)
    peer.send(replyTo(await peer.expect('ConversationMessage'), '2'))
    expect(await request).toBe(2)
    peer.send(conversationError(open, 0xffff, 'no such subject'))
    await failure(conversation.closed, 'REMOTE_ERROR')
  })

  it('understands a server of 0.2.1 that refuses an open on stream 1', async () => {
    const { bus, peer } = await pair({}, 0)
    bus.channel('ticks').subscribe()
    await peer.expect('Subscribe')
    const conversation = await bus.converse('work')
    const open = await peer.expect('ConversationOpen')
    expect(open.streamId).not.toBe(1)
    peer.send({ ...conversationError(open, 0xffff, 'refused'), streamId: 1 })
    expect((await failure(conversation.closed, 'REMOTE_ERROR')).message).toBe('refused')
  })

  it('sends no extension frames where none were granted', async () => {
    const { bus, peer } = await pair({}, Capability.CREDITS)
    const conversation = await bus.converse('work')
    await peer.expect('ConversationOpen')
    const late = failure(conversation.request('old', { timeoutMs: 5 }), 'TIMEOUT')
    await peer.expect('ConversationMessage')
    await late
    await conversation.close()
    expect(await peer.rest()).toMatchObject([{ type: 'ConversationClose', flags: 0 }])
  })
})

describe('what waits for a connection', () => {
  it('is sent with the next one: ask and converse', async () => {
    const { bus, peer, server } = await pair()
    peer.kill()
    await until(bus, 'disconnected')
    const asking = bus.ask('work', 'a')
    const conversing = bus.converse('talk')
    const second = await server.connection()
    await second.accept()
    await second.expect('ConversationOpen')
    second.send(replyTo(await second.expect('ConversationMessage'), '"b"'))
    expect(await asking).toBe('b')
    const open = await second.expect('ConversationOpen')
    expect(open.subject).toBe('talk')
    second.send(open)
    await conversing
  })
})

describe('a conversation with terms', () => {
  it('fails by its deadline, says so to the server, and wakes whoever waits', async () => {
    const { bus, peer, core } = await pair()
    const [conversation, open] = await opened(bus.converse('work', { deadlineMs: 30 }), peer)
    const pending = failure(conversation.request(1, { timeoutMs: 20_000 }), 'TIMEOUT')
    const over = failure(conversation.closed, 'TIMEOUT')
    await peer.expect('ConversationMessage')
    const close = await peer.expect('ConversationClose')
    expect(close).toMatchObject({ streamId: open.streamId, conversationId: open.conversationId })
    expect(close.message).toContain('30 ms')
    expect((await pending).message).toContain('30 ms')
    await over
    await failure(() => conversation.request(2), 'TIMEOUT')
    expect(streams(core)).toBe(0)
  })

  it('fails when nothing is said for too long, and not before', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => {
      vi.useRealTimers()
    })
    const { bus, peer } = await pair()
    const [conversation] = await opened(bus.converse('work', { idleTimeoutMs: 1_000 }), peer)
    const over = failure(conversation.closed, 'TIMEOUT')
    for (let turn = 0; turn < 3; turn++) {
      vi.advanceTimersByTime(999)
      const reply = conversation.request(turn, { timeoutMs: 20_000 })
      const request = await peer.expect('ConversationMessage')
      vi.advanceTimersByTime(999)
      peer.send(replyTo(request, '1'))
      await reply
    }
    vi.advanceTimersByTime(999)
    conversation.send('still here')
    await peer.expect('ConversationMessage')
    vi.advanceTimersByTime(999)
    await settled(peer)
    vi.advanceTimersByTime(1)
    expect((await over).message).toContain('idle for 1000 ms')
    expect((await peer.expect('ConversationClose')).message).toContain('idle for 1000 ms')
  })

  it('gives its messages its own cause, unless they have one', async () => {
    const { bus, peer } = await pair()
    const causal = { parentId: 'p', vectorClockEntry: 1n }
    const [conversation] = await opened(bus.converse('work', { causal }), peer)
    conversation.send(1)
    expect((await peer.expect('ConversationMessage')).envelope.causal).toEqual(causal)
    const own = { parentId: 'q', vectorClockEntry: null }
    const replies = [conversation.request(2), conversation.request(3, { causal: own })]
    const requests = [await peer.expect('ConversationMessage'), await peer.expect('ConversationMessage')]
    expect(requests.map(({ envelope }) => envelope.causal)).toEqual([causal, own])
    for (const request of requests) peer.send(replyTo(request, '1'))
    await Promise.all(replies)
  })

  it('says why it is closed', async () => {
    const { bus, peer } = await pair()
    const [conversation] = await opened(bus.converse('work'), peer)
    const closing = conversation.close('enough said')
    const close = await peer.expect('ConversationClose')
    expect(close).toMatchObject({ flags: 0x40, reasonCode: null, message: 'enough said' })
    peer.send(close)
    await closing
    await conversation.closed
  })
})
