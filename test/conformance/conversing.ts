import { expect, it } from 'vitest'
import { type BehaviourContext, echo } from '../../ts/bus/index.ts'
import type { Setup } from './suite.ts'
import { type Deferred, deferred, failure, numbers } from './tools.ts'

/** Ask, converse and respond. */
export function conversingTests(setup: Setup): void {
  it('asks and gets the reply', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    await answerer.respond<{ name: string }>('greet', ({ name }) => ({ hello: name })).ready()
    await answerer.respond<number>('double', async (value) => value * 2).ready()
    expect(await asker.ask('greet', { name: 'Ada' })).toEqual({ hello: 'Ada' })
    expect(await asker.ask<number>('double', 21)).toBe(42)
  })

  it('gives each of many requests its own reply, in whatever order they come', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    const open = new Map<number, Deferred<number>>()
    const all = deferred()
    await answerer
      .respond<number>('slow', (value) => {
        const reply = deferred<number>()
        open.set(value, reply)
        if (open.size === 50) all.resolve()
        return reply.promise
      })
      .ready()
    const replies = Promise.all(numbers(50).map((value) => asker.ask<number>('slow', value)))
    await all.promise
    for (const [value, reply] of [...open].reverse()) reply.resolve(value * value)
    expect(await replies).toEqual(numbers(50).map((value) => value * value))
  })

  it('carries bytes both ways, and nothing as null', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const reverse = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes).reverse()
    await bus.respond<Uint8Array>('reverse', reverse, { payload: 'bytes' }).ready()
    await bus.respond('nothing', () => {}).ready()
    await bus.respond('echo', echo, { payload: 'bytes' }).ready()
    const bytes = Uint8Array.of(0, 1, 254, 255)
    expect([...(await bus.ask<Uint8Array>('reverse', bytes, { payload: 'bytes' }))]).toEqual([255, 254, 1, 0])
    expect([...(await bus.ask<Uint8Array>('echo', bytes, { payload: 'bytes' }))]).toEqual([0, 1, 254, 255])
    expect(await bus.ask('nothing', 1)).toBeNull()
  })

  it('fails at once where nobody answers', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const error = await failure(() => bus.ask('silence', 1), 'NO_RESPONDER')
    expect(error.message).toContain("'silence'")
    await failure(() => bus.converse('silence'), 'NO_RESPONDER')
  })

  it('echoes where nobody answers, if it is told to', async () => {
    const backing = await setup({ echoFallback: true })
    const bus = await backing.bus()
    expect(await bus.ask('anything', { at: 'all' })).toEqual({ at: 'all' })
    await bus.respond('anything', () => 'somebody').ready()
    expect(await bus.ask('anything', 1)).toBe('somebody')
  })

  it('tells the asker what the responder threw, and goes on', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    await answerer
      .respond<string>('moody', (how) => {
        if (how === 'throw') throw new Error('not in the mood')
        if (how === 'reject') return Promise.reject(new Error('asynchronously not in the mood'))
        if (how === 'strange') throw 'a string'
        if (how === 'unsendable') return 1n
        return 'fine'
      })
      .ready()
    const thrown = await failure(() => asker.ask('moody', 'throw'), 'RESPONDER_FAILED')
    expect(thrown.message).toContain('not in the mood')
    expect(thrown.retryable).toBe(false)
    const rejected = await failure(() => asker.ask('moody', 'reject'), 'RESPONDER_FAILED')
    expect(rejected.message).toContain('asynchronously not in the mood')
    await failure(() => asker.ask('moody', 'strange'), 'RESPONDER_FAILED')
    await failure(() => asker.ask('moody', 'unsendable'), 'RESPONDER_FAILED')
    expect(await asker.ask('moody', 'nicely')).toBe('fine')
  })

  it('tells a behaviour what it is about', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    const seen = deferred<BehaviourContext>()
    await answerer.respond('context', (_request, context) => seen.resolve(context)).ready()
    const causal = { parentId: 'order-9', vectorClockEntry: 77n }
    await asker.ask('context', 1, { causal })
    const context = await seen.promise
    expect(context.subject).toBe('context')
    expect(context.attempt).toBe(1)
    expect(context.causal).toEqual(causal)
    expect(typeof context.conversationId).toBe('bigint')
    expect(context.signal).toBeInstanceOf(AbortSignal)
  })

  it('times out, tells the responder, and goes on', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    const abandoned = deferred()
    await answerer.respond('never', (_request, { signal }) => waitForAbort(signal, abandoned)).ready()
    const error = await failure(() => asker.ask('never', 1, { timeoutMs: 30 }), 'TIMEOUT')
    expect(error.message).toContain('30 ms')
    expect(error.retryable).toBe(true)
    await abandoned.promise
    await answerer.respond('always', () => 'here').ready()
    expect(await asker.ask('always', 1)).toBe('here')
  })

  it('gives up by its signal, and tells the responder', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    const started = deferred()
    const abandoned = deferred()
    await answerer
      .respond('never', (_request, { signal }) => {
        started.resolve()
        return waitForAbort(signal, abandoned)
      })
      .ready()
    const controller = new AbortController()
    const asked = failure(() => asker.ask('never', 1, { signal: controller.signal }), 'ABORTED')
    await started.promise
    const reason = new Error('no longer needed')
    controller.abort(reason)
    expect((await asked).cause).toBe(reason)
    await abandoned.promise
    await failure(() => asker.ask('never', 1, { signal: AbortSignal.abort() }), 'ABORTED')
    await failure(() => asker.converse('never', { signal: AbortSignal.abort() }), 'ABORTED')
  })

  it('does not answer for a signal that was aborted before', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    const reason = new Error('changed my mind')
    const responder = answerer.respond('work', () => 'never', { signal: AbortSignal.abort(reason) })
    const error = await failure(() => responder.ready(), 'ABORTED')
    expect(error.cause).toBe(reason)
    await failure(() => asker.ask('work', 1), 'NO_RESPONDER')
    await responder.close()
  })

  it('keeps the bytes of askers and behaviours apart', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    const seen: Uint8Array[] = []
    const kept = Uint8Array.of(7, 7, 7)
    const keep = (bytes: Uint8Array): Uint8Array => {
      seen.push(bytes)
      return bytes.length === 0 ? kept : bytes
    }
    await answerer.respond('keep', keep, { payload: 'bytes' }).ready()
    const conversation = await asker.converse('keep', { payload: 'bytes' })
    const sent = Uint8Array.of(1, 2, 3)
    conversation.send(sent)
    sent[0] = 99
    const requested = Uint8Array.of(4, 5, 6)
    const replied = conversation.request<Uint8Array>(requested)
    requested[0] = 99
    const reply = await replied
    expect([[...seen[0]], [...seen[1]]]).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ])
    reply[1] = 99
    expect([...seen[1]]).toEqual([4, 5, 6])
    const first = await conversation.request<Uint8Array>(new Uint8Array(0))
    first[0] = 99
    expect([...kept]).toEqual([7, 7, 7])
    const own = Uint8Array.of(8)
    const asked = asker.ask<Uint8Array>('keep', own, { payload: 'bytes' })
    own[0] = 99
    expect([...(await asked)]).toEqual([8])
    await conversation.close()
  })

  it('lets responders of one subject take turns', async () => {
    const backing = await setup()
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    await one.respond('work', () => 'one').ready()
    await two.respond('work', () => 'two').ready()
    const replies: string[] = []
    for (const _ of numbers(6)) replies.push(await asker.ask<string>('work', null))
    expect(replies.filter((reply) => reply === 'one')).toHaveLength(3)
    for (const index of numbers(4)) expect(replies[index + 2]).toBe(replies[index])
  })

  it('withdraws a responder: the others go on, what is underway is finished', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    const started = deferred()
    const reply = deferred<string>()
    const leaving = answerer.respond('work', () => {
      started.resolve()
      return reply.promise
    })
    await leaving.ready()
    const underway = asker.ask('work', 1)
    await started.promise
    await leaving.close()
    await leaving.close()
    await failure(() => asker.ask('work', 2), 'NO_RESPONDER')
    reply.resolve('finished')
    expect(await underway).toBe('finished')

    await answerer.respond('work', () => 'another').ready()
    expect(await asker.ask('work', 3)).toBe('another')
  })

  it('converses over several turns, each with its own reply', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    const sums = new Map<bigint, number>()
    await answerer
      .respond<number>('sum', (value, { conversationId }) => {
        const sum = (sums.get(conversationId) ?? 0) + value
        sums.set(conversationId, sum)
        return sum
      })
      .ready()
    const [first, second] = [await asker.converse('sum'), await asker.converse('sum')]
    expect(first.subject).toBe('sum')
    expect(first.id).not.toBe(second.id)
    expect(await first.request(1)).toBe(1)
    expect(await second.request(10)).toBe(10)
    expect(await first.request(2)).toBe(3)
    expect(await second.request(20)).toBe(30)
    await Promise.all([first.close(), second.close()])
    await first.closed
    await second.closed
  })

  it('sends messages that want no reply, and answers none with them', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    const noted: string[] = []
    const done = deferred()
    await answerer
      .respond<string>('notes', (note) => {
        noted.push(note)
        if (note === 'bad') throw new Error('nobody hears this')
        if (noted.length === 4) done.resolve()
        return noted.length
      })
      .ready()
    const conversation = await asker.converse('notes')
    conversation.send('one')
    conversation.send('bad')
    conversation.send('two')
    expect(await conversation.request('three')).toBe(4)
    await done.promise
    expect(noted).toEqual(['one', 'bad', 'two', 'three'])
    await conversation.close()
  })

  it('never answers a younger request with a late reply', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    const late = deferred<string>()
    const lateDone = deferred()
    await answerer
      .respond<string>('mixed', async (which) => {
        if (which !== 'old') return 'the young reply'
        const reply = await late.promise
        setImmediate(() => lateDone.resolve())
        return reply
      })
      .ready()
    const conversation = await asker.converse('mixed')
    await failure(() => conversation.request('old', { timeoutMs: 20 }), 'TIMEOUT')
    late.resolve('the old reply')
    await lateDone.promise
    expect(await conversation.request('young')).toBe('the young reply')
    await conversation.close()
  })

  it('ends when the asker closes: requests underway fail, the responder is told', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    const started = deferred()
    const abandoned = deferred()
    await answerer
      .respond('long', (_request, { signal }) => {
        started.resolve()
        return waitForAbort(signal, abandoned)
      })
      .ready()
    const conversation = await asker.converse('long')
    const pending = failure(() => conversation.request(1), 'CONVERSATION_CLOSED')
    await started.promise
    await conversation.close()
    await pending
    await conversation.closed
    await abandoned.promise
    await failure(() => conversation.request(2), 'CONVERSATION_CLOSED')
    await failure(() => conversation.send(3), 'CONVERSATION_CLOSED')
    await conversation.close()
  })

  it('hears the reply of a responder that leaves right after it', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    const closed = deferred()
    await answerer
      .respond<number>('job', (value) => {
        setImmediate(() => answerer.close().then(closed.resolve, closed.reject))
        return value + 1
      })
      .ready()
    expect(await asker.ask('job', 1)).toBe(2)
    await closed.promise
  })

  it('lets messages that want no reply finish when the asker closes', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    const both = deferred()
    const requestAbandoned = deferred()
    const signals = new Map<string, AbortSignal>()
    await answerer
      .respond<string>('long', (which, { signal }) => {
        signals.set(which, signal)
        if (which === 'request') signal.addEventListener('abort', () => requestAbandoned.resolve(), { once: true })
        if (signals.size === 2) both.resolve()
        return new Promise(() => {})
      })
      .ready()
    const conversation = await asker.converse('long')
    conversation.send('message')
    const pending = failure(() => conversation.request('request'), 'CONVERSATION_CLOSED')
    await both.promise
    await conversation.close()
    await pending
    await requestAbandoned.promise
    expect(signals.get('message')?.aborted).toBe(false)
  })

  it('survives a thousand asks, good and bad', async () => {
    const backing = await setup()
    const [asker, answerer] = [await backing.bus(), await backing.bus()]
    await answerer
      .respond<number>('thirds', (value) => {
        if (value % 3 === 0) throw new Error('a third')
        return value
      })
      .ready()
    const outcomes = await Promise.allSettled(numbers(1_000).map((value) => asker.ask<number>('thirds', value)))
    const replies = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    expect(replies).toEqual(numbers(1_000).filter((value) => value % 3 !== 0))
  })

  it('names what is wrong with an argument', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const error = await failure(() => bus.ask('x', 1, { timeoutMs: Number.POSITIVE_INFINITY }), 'INVALID_ARGUMENT')
    expect(error.message).toMatch(/timeoutMs.*Infinity/)
    await failure(() => bus.ask('', 1), 'INVALID_ARGUMENT')
    await failure(() => bus.respond('', () => 1), 'INVALID_ARGUMENT')
    await failure(() => bus.converse('\u0007'), 'INVALID_ARGUMENT')
    await bus.respond('x', () => 1).ready()
    await failure(() => bus.ask('x', undefined), 'PAYLOAD_INVALID')
  })
}

function waitForAbort(signal: AbortSignal, abandoned: Deferred<void>): Promise<string> {
  return new Promise((resolve) => {
    const done = (): void => {
      abandoned.resolve()
      resolve('too late')
    }
    if (signal.aborted) done()
    else signal.addEventListener('abort', done, { once: true })
  })
}
