import { describe, expect, it, vi } from 'vitest'
import type { BehaviourContext } from '../../ts/bus/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import {
  Capability,
  type Frame,
  HAS_HEAD,
  IN_PARTS,
  REPLY_REQUESTED,
  ReasonCode,
  reasonOf,
  withHead,
} from '../../ts/protocol/index.ts'
import { failure, pair, settled, streams, until } from './harness.ts'
import { envelope, type FrameOf, PONG, type ScriptedPeer, textOf } from './scripted-server.ts'

function open(streamId: number, conversationId: bigint, subject: string): Frame {
  return { type: 'ConversationOpen', flags: 0, streamId, conversationId, subject }
}

function ask(streamId: number, conversationId: bigint, payload: string, flags = 1): Frame {
  return { type: 'ConversationMessage', flags, streamId, conversationId, envelope: envelope(payload) }
}

function askHeaded(streamId: number, payload: Uint8Array): Frame {
  const flags = REPLY_REQUESTED | HAS_HEAD
  return { type: 'ConversationMessage', flags, streamId, conversationId: 1n, envelope: envelope(payload) }
}

function accepted(streamId: number, count: string): Frame {
  return { type: 'Accept', flags: 0, streamId, referencedMessageId: count }
}

function close(streamId: number, conversationId: bigint): Frame {
  return { type: 'ConversationClose', flags: 0, streamId, conversationId, reasonCode: null, message: null }
}

async function registered(peer: ScriptedPeer): Promise<FrameOf<'ConversationOpen'>> {
  const offer = await peer.expect('ConversationOpen')
  peer.send(offer)
  return offer
}

/** Resolves when the signal that a behaviour was given is aborted. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

describe('a responder', () => {
  it('offers its subject and is ready when the server agrees', async () => {
    const { bus, peer } = await pair()
    const responder = bus.respond('greet', () => null)
    let ready = false
    void responder.ready().then(() => {
      ready = true
    })
    const offer = await peer.expect('ConversationOpen')
    expect(offer).toMatchObject({ subject: 'greet', flags: 0xc0 })
    expect(offer.streamId % 2).toBe(1)
    await settled(peer)
    expect(ready).toBe(false)
    peer.send(offer)
    await responder.ready()
  })

  it('answers each request on its stream, in the order in which the answers come', async () => {
    const { bus, peer } = await pair()
    const release: (() => void)[] = []
    const contexts: BehaviourContext[] = []
    bus.respond<string>('work', (request, context) => {
      contexts.push(context)
      return new Promise((resolve) => release.push(() => resolve({ re: request })))
    })
    await registered(peer)
    const id = 2n ** 63n + 5n
    peer.send(open(2, id, 'work'), ask(4, id, '"one"'), ask(6, id, '"two"'))
    await settled(peer)
    release[1]()
    const two = await peer.expect('ConversationMessage')
    release[0]()
    const one = await peer.expect('ConversationMessage')
    expect([two.streamId, one.streamId]).toEqual([6, 4])
    expect([two.flags, one.flags]).toEqual([1, 1])
    expect([two.conversationId, textOf(one)]).toEqual([id, '{"re":"one"}'])
    expect(one.envelope.causal).toEqual({ parentId: null, vectorClockEntry: null })
    expect(contexts[0]).toMatchObject({ subject: 'work', conversationId: id, attempt: 1 })
  })

  it('passes failures on', async () => {
    const { bus, peer } = await pair()
    bus.respond('work', () => {
      throw new Error('not like this \ud800')
    })
    await registered(peer)
    peer.send(open(2, 1n, 'work'), ask(4, 1n, '1'), ask(6, 1n, '{'))
    const failures = [await peer.expect('ConversationError'), await peer.expect('ConversationError')]
    const byStream = new Map(failures.map((frame) => [frame.streamId, frame]))
    expect(byStream.get(4)).toMatchObject({ conversationId: 1n, reasonCode: 0x8004 })
    expect(byStream.get(4)?.message).toContain('not like this')
    expect(byStream.get(6)).toMatchObject({ reasonCode: 0x8001 })
  })

  it('answers no message that wants no reply', async () => {
    const { bus, peer } = await pair()
    const seen: unknown[] = []
    bus.respond('notes', (note) => {
      seen.push(note)
      if (note === 2) throw new Error('nobody hears this')
    })
    await registered(peer)
    peer.send(open(2, 1n, 'notes'), ask(2, 1n, '1', 0), ask(2, 1n, '2', 0), ask(4, 1n, '3'))
    const reply = await peer.expect('ConversationMessage')
    expect([reply.streamId, textOf(reply)]).toEqual([4, 'null'])
    await settled(peer)
    expect(seen).toEqual([1, 2, 3])
  })

  it('hears when nobody waits any more: for one request, for the conversation, for the connection', async () => {
    const { bus, peer, server } = await pair()
    const signals: AbortSignal[] = []
    bus.respond('work', async (_request, { signal }) => {
      signals.push(signal)
      await aborted(signal)
      return 'too late'
    })
    await registered(peer)
    peer.send(open(2, 1n, 'work'), ask(4, 1n, '1'), ask(6, 1n, '2'), open(8, 2n, 'work'), ask(10, 2n, '3'))
    await settled(peer)
    expect(signals.map((signal) => signal.aborted)).toEqual([false, false, false])
    const withdrawn = {
      type: 'ConversationError',
      flags: 0,
      conversationId: 1n,
      reasonCode: 0x8009,
      message: null,
    } as const
    peer.send({ ...withdrawn, streamId: 4 })
    await settled(peer)
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false, false])
    // One that was answered or withdrawn a moment ago changes nothing.
    peer.send({ ...withdrawn, streamId: 4 })
    await settled(peer)
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false, false])
    peer.send(close(2, 1n))
    await settled(peer)
    expect(signals.map((signal) => signal.aborted)).toEqual([true, true, false])
    peer.kill()
    await aborted(signals[2])
    // Their answers are dropped.
    const second = await server.connection()
    await second.accept()
    await registered(second)
    await settled(second)
  })

  it('takes turns with others of its subject, and fails what it does not know', async () => {
    const { bus, peer } = await pair()
    bus.respond('work', () => 'one')
    bus.respond('work', () => 'two')
    await registered(peer)
    await registered(peer)
    const replies: string[] = []
    for (let turn = 0; turn < 4; turn++) {
      const stream = 2 + turn * 4
      peer.send(open(stream, BigInt(turn), 'work'), ask(stream + 2, BigInt(turn), '1'), close(stream, BigInt(turn)))
      // Closed before the answer: it is dropped.
      peer.send(open(stream, BigInt(turn), 'work'), ask(stream + 2, BigInt(turn), '1'))
      replies.push(textOf(await peer.expect('ConversationMessage')))
    }
    expect(replies).toEqual(['"two"', '"two"', '"two"', '"two"'])
    peer.send(open(40, 40n, 'other'))
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 40, reasonCode: 0x8005 })
    peer.send(ask(44, 44n, '1'))
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 44, reasonCode: 0x8006 })
    peer.send(open(2, 0n, 'work'))
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 2, reasonCode: 0x800b })
  })

  it('is withdrawn with a confirmation; what is underway is answered', async () => {
    const { bus, peer, core } = await pair()
    let finish: (value: string) => void = () => {}
    const responder = bus.respond('work', () => new Promise<string>((resolve) => (finish = resolve)))
    const offer = await registered(peer)
    await responder.ready()
    peer.send(open(2, 1n, 'work'), ask(4, 1n, '1'))
    await settled(peer)
    let closed = false
    const closing = Promise.all([responder.close(), responder.close()]).then(() => {
      closed = true
    })
    const withdrawal = await peer.expect('ConversationClose')
    expect(withdrawal).toMatchObject({ conversationId: offer.conversationId, streamId: offer.streamId, flags: 0x40 })
    await settled(peer)
    expect(closed).toBe(false)
    peer.send(withdrawal)
    await closing
    finish('done')
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('"done"')
    expect([streams(core), core.restorables.size]).toEqual([0, 0])
  })

  it('is withdrawn by its signal', async () => {
    const { bus, peer } = await pair()
    const controller = new AbortController()
    const responder = bus.respond('work', () => 1, { signal: controller.signal })
    await registered(peer)
    await responder.ready()
    controller.abort()
    peer.send(await peer.expect('ConversationClose'))
    const never = bus.respond('work', () => 1, { signal: AbortSignal.abort() })
    await failure(never.ready(), 'ABORTED')
    await settled(peer)
  })

  it('registers again after every reconnect', async () => {
    const { bus, peer, server } = await pair()
    const responder = bus.respond('work', (request) => request)
    const closed = bus.respond('closed', () => 1)
    const first = await registered(peer)
    await registered(peer)
    await Promise.all([responder.ready(), closed.ready()])
    peer.kill()
    await until(bus, 'disconnected')
    await closed.close()
    const ready = responder.ready()
    const second = await server.connection()
    await second.accept()
    const offer = await registered(second)
    expect(offer.subject).toBe(first.subject)
    await ready
    second.send(open(2, 9n, 'work'), ask(4, 9n, '"again"'))
    expect(textOf(await second.expect('ConversationMessage'))).toBe('"again"')
    await settled(second)
  })

  it('says when the server refuses it, and tries again with the next connection', async () => {
    const { bus, peer, server } = await pair()
    const responder = bus.respond('work', () => 1)
    const refused = until(bus, 'responder-refused')
    const offer = await peer.expect('ConversationOpen')
    const { streamId, conversationId } = offer
    peer.send({
      type: 'ConversationError',
      flags: 0,
      streamId,
      conversationId,
      reasonCode: 0x800b,
      message: 'too many',
    })
    await failure(responder.ready(), 'LIMIT_EXCEEDED')
    expect(await refused).toMatchObject({ subject: 'work', error: { code: 'LIMIT_EXCEEDED' } })
    peer.kill()
    await until(bus, 'disconnected')
    const second = await server.connection()
    await second.accept()
    await registered(second)
    await responder.ready()
  })

  it('is not supported by a server without the extension', async () => {
    const { bus, peer } = await pair({}, Capability.CONFIRMATIONS)
    const responder = bus.respond('work', () => 1)
    await failure(responder.ready(), 'NOT_SUPPORTED')
    await responder.close()
    await settled(peer)
  })

  it('sends a reply that waits for room before it leaves', async () => {
    const { bus, peer } = await pair({ outboxBytes: 1_024 })
    const release: (() => void)[] = []
    bus.respond<string>('work', (which) => new Promise((resolve) => release.push(() => resolve(which.repeat(4_096)))))
    await registered(peer)
    peer.send(open(2, 1n, 'work'), ask(4, 1n, '"a"'), ask(6, 1n, '"b"'))
    await settled(peer)
    for (const reply of release) reply()
    // All microtasks later, and before the outbox is flushed.
    await new Promise<void>((resolve) => process.nextTick(() => queueMicrotask(resolve)))
    const closed = bus.close()
    const replies = [await peer.expect('ConversationMessage'), await peer.expect('ConversationMessage')]
    expect(replies.map((reply) => textOf(reply).slice(0, 2))).toEqual(['"a', '"b'])
    await peer.expect('ConversationClose')
    await peer.expect('Ping')
    peer.send(PONG)
    await peer.expect('Disconnect')
    peer.kill()
    await closed
  })

  it('that its bus closes refuses as undone what the server sends before it knows', async () => {
    const { bus, peer } = await pair()
    let isBegun = false
    bus.respond('work', () => {
      isBegun = true
    })
    await registered(peer)
    const closed = bus.close()
    await peer.expect('ConversationClose')
    await peer.expect('Ping')
    peer.send(open(2, 1n, 'work'), ask(4, 1n, '"a"'), PONG)
    expect(await peer.expect('ConversationError')).toMatchObject({
      streamId: 2,
      reasonCode: reasonOf('PARTICIPANT_GONE'),
    })
    expect(await peer.expect('ConversationError')).toMatchObject({
      streamId: 4,
      reasonCode: reasonOf('PARTICIPANT_GONE'),
    })
    await peer.expect('Disconnect')
    peer.kill()
    await closed
    expect(isBegun).toBe(false)
  })

  it.each(['the responder', 'the bus'])('listens to its signal no longer once %s is closed', async (which) => {
    const { bus, peer } = await pair()
    const { signal } = new AbortController()
    const remove = vi.spyOn(signal, 'removeEventListener')
    const responder = bus.respond('work', () => 1, { signal })
    await registered(peer)
    await responder.ready()
    const closing = which === 'the bus' ? bus.close() : responder.close()
    expect(remove).toHaveBeenCalledOnce()
    peer.kill()
    await closing
  })

  it('fails for a reply that no frame carries', async () => {
    const { bus, peer } = await pair({ frameBytes: 2_048 })
    bus.respond('work', () => 'x'.repeat(4_096))
    await registered(peer)
    peer.send(open(2, 1n, 'work'), ask(4, 1n, '1'))
    const error = await peer.expect('ConversationError')
    expect(error.reasonCode).toBe(0x8004)
    expect(error.message).toContain('2048')
  })

  it('is told the attempt, the deadline and the key', async () => {
    const { bus, peer } = await pair()
    const contexts: BehaviourContext[] = []
    bus.respond<number>('work', (n, context) => {
      contexts.push(context)
      return n
    })
    await registered(peer)
    const head = { attempt: 2, deadline: 1_900_000_000_000, key: 'k' }
    peer.send(open(2, 1n, 'work'), askHeaded(4, withHead(head, Buffer.from('5'))), ask(6, 1n, '6'))
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('5')
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('6')
    expect(contexts[0]).toMatchObject(head)
    expect(contexts[1]).toMatchObject({ attempt: 1, deadline: null, key: null })
    peer.send(askHeaded(8, Buffer.from('no head')), ask(10, 1n, '7'))
    const reasonCode = ReasonCode.PayloadInvalid
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 8, reasonCode })
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('7')
  })

  it('answers in parts as far as it was given credit', async () => {
    const { bus, peer } = await pair()
    let isStopped = false
    bus.respond('count', async function* () {
      try {
        for (let index = 0; ; index++) yield index
      } finally {
        isStopped = true
      }
    })
    await registered(peer)
    peer.send(open(2, 1n, 'count'), ask(4, 1n, 'null', REPLY_REQUESTED | IN_PARTS))
    const taken = async (count: number): Promise<string[]> => {
      const texts: string[] = []
      while (texts.length < count) {
        const part = await peer.expect('ConversationMessage')
        expect(part).toMatchObject({ flags: IN_PARTS, streamId: 4 })
        texts.push(textOf(part))
      }
      await settled(peer)
      return texts
    }
    expect((await taken(64)).at(-1)).toBe('63')
    peer.send(accepted(4, '3'), accepted(4, 'x'), accepted(6, '9'))
    expect(await taken(3)).toEqual(['64', '65', '66'])
    // What was not sent cannot have been taken.
    peer.send(accepted(4, '1000'))
    expect((await taken(64)).at(-1)).toBe('130')
    expect(isStopped).toBe(false)
    const reasonCode = ReasonCode.Aborted
    peer.send({ type: 'ConversationError', flags: 0, streamId: 4, conversationId: 1n, reasonCode, message: null })
    await settled(peer)
    expect(isStopped).toBe(true)
  })

  it('says so if it answers in parts where one reply was asked for, or with nothing at all', async () => {
    const { bus, peer } = await pair()
    let isStopped = false
    bus.respond<number>('count', async function* (to) {
      try {
        for (let index = 0; index < to; index++) yield index
      } finally {
        isStopped = true
      }
    })
    await registered(peer)
    const reasonCode = ReasonCode.ResponderFailed
    peer.send(open(2, 1n, 'count'), ask(4, 1n, '3'))
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 4, reasonCode })
    await settled(peer)
    expect(isStopped).toBe(true)
    peer.send(ask(6, 1n, '0'))
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 6, reasonCode })
  })

  it('ends a reply with a part that no frame carries, and its maker stops', async () => {
    const { bus, peer } = await pair({ frameBytes: 4_096 })
    let isStopped = false
    bus.respond('large', async function* () {
      try {
        yield 'small'
        yield 'x'.repeat(10_000)
        yield 'never'
      } finally {
        isStopped = true
      }
    })
    await registered(peer)
    peer.send(open(2, 1n, 'large'), ask(4, 1n, 'null', REPLY_REQUESTED | IN_PARTS))
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('"small"')
    const reasonCode = ReasonCode.ResponderFailed
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 4, reasonCode })
    await settled(peer)
    expect(isStopped).toBe(true)
  })

  it('hears why a conversation was closed', async () => {
    const { bus, peer } = await pair()
    const reasons: unknown[] = []
    bus.respond('talk', {
      open: ({ signal }) => {
        signal.addEventListener('abort', () => reasons.push(signal.reason))
        return (value) => value
      },
    })
    await registered(peer)
    peer.send(open(2, 1n, 'talk'), { ...close(2, 1n), message: 'enough said' } as Frame, open(4, 3n, 'talk'))
    peer.send(close(4, 3n))
    await settled(peer)
    expect(reasons).toHaveLength(2)
    expect(reasons[0]).toMatchObject({ code: 'CONVERSATION_CLOSED', message: 'enough said' })
  })

  it.each<[string, LiminalError | undefined, string]>([
    ['with nothing', undefined, 'ConversationClose'],
    ['with an error', new LiminalError('LIMIT_EXCEEDED', 'full'), 'ConversationError'],
  ])('may leave a conversation while it joins, %s', async (_how, error, type) => {
    const { bus, peer } = await pair()
    bus.respond('talk', {
      open: (conversation) => {
        conversation.leave(error)
        return () => 'never'
      },
    })
    await registered(peer)
    peer.send(open(2, 1n, 'talk'))
    expect(await peer.next()).toMatchObject({ type, streamId: 2, conversationId: 1n })
    peer.send(ask(4, 1n, '1'))
    const reasonCode = ReasonCode.ConversationNotFound
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 4, reasonCode })
  })

  it('has neither capacity nor tags over a connection', async () => {
    const { bus, peer } = await pair()
    await failure(() => bus.respond('work', () => 1, { capacity: 3 }), 'NOT_SUPPORTED')
    await failure(() => bus.respond('work', () => 1, { tags: ['gpu'] }), 'NOT_SUPPORTED')
    await settled(peer)
  })
})
