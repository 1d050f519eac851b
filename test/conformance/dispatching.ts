import { expect, it } from 'vitest'
import type { BehaviourContext } from '../../ts/bus/index.ts'
import { DispatchError, HandedBackError } from '../../ts/routing/index.ts'
import type { Setup } from './suite.ts'
import { type Deferred, deferred, failure, numbers } from './tools.ts'

const never = (): Promise<never> => new Promise(() => {})

/** Messages for the group of a subject that responders answer. */
export function dispatchingTests(setup: Setup): void {
  it('gives a message to a responder, which is told of it, and tells how it went', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const contexts: BehaviourContext[] = []
    const responder = one.respond<number>('double', (number, context) => {
      contexts.push(context)
      return number * 2
    })
    await responder.ready()
    const before = Date.now()
    const causal = { parentId: 'order-9', vectorClockEntry: 7n }
    const outcome = await asker.dispatch<number>('double', 21, { key: 'k', timeoutMs: 60_000, causal })
    expect(outcome).toMatchObject({ value: 42, attempts: 1, reroutedFrom: [] })
    expect(outcome.queuedMs).toBeGreaterThanOrEqual(0)
    expect(outcome.durationMs).toBeGreaterThanOrEqual(outcome.queuedMs)
    expect(contexts[0]).toMatchObject({ subject: 'double', attempt: 1, key: 'k', causal })
    expect(contexts[0].deadline).toBeGreaterThanOrEqual(before + 60_000)
    expect((await asker.dispatch('double', 1)).deliveredTo).toBe(outcome.deliveredTo)
  })

  it('goes on to another one when one crashes, and refuses what the first says later', async () => {
    const backing = await setup()
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    const begun = deferred()
    const late = deferred<string>()
    const first = one.respond('work', () => {
      begun.resolve()
      return late.promise
    })
    await first.ready()
    const pending = asker.dispatch<string>('work', 1)
    await begun.promise
    await two.respond('work', (_, { attempt }) => `attempt ${attempt}`).ready()
    backing.crash(one, first)
    const outcome = await pending
    late.resolve('too late')
    expect(outcome).toMatchObject({ value: 'attempt 2', attempts: 2 })
    expect(outcome.reroutedFrom).toHaveLength(1)
    expect(outcome.reroutedFrom[0]).toMatchObject({ attempt: 1, reason: expect.stringMatching(/killed|noconnection/) })
    expect(outcome.reroutedFrom[0].microseconds).toBeGreaterThanOrEqual(0)
    expect(outcome.reroutedFrom[0].consumer).not.toBe(outcome.deliveredTo)
  })

  it('gives up after as many attempts as it may have', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const begun = deferred()
    const only = one.respond('deadly', () => {
      begun.resolve()
      return never()
    })
    await only.ready()
    const pending = failure(() => asker.dispatch('deadly', 1, { maxAttempts: 1 }), 'PARTICIPANT_GONE')
    await begun.promise
    backing.crash(one, only)
    expect(await pending).toBeInstanceOf(DispatchError)
  })

  it('waits for a responder to come, and gives it what waited', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const waiting = numbers(100).map((number) => asker.dispatch<number>('later', number))
    await backing.settled()
    await one.respond('later', (number) => number).ready()
    expect((await Promise.all(waiting)).map(({ value }) => value)).toEqual(numbers(100))
  })

  it('fails as a dispatch: nobody there, out of time, given up, refused', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const errors = [
      await failure(() => asker.dispatch('nobody', 1, { whenUnavailable: 'fail' }), 'NO_RESPONDER'),
      await failure(() => asker.dispatch('nobody', 1, { waitMs: 20 }), 'TIMEOUT'),
      await failure(() => asker.dispatch('nobody', 1, { timeoutMs: 20 }), 'TIMEOUT'),
    ]
    const signals: AbortSignal[] = []
    let begun = deferred()
    const ended = deferred()
    await one
      .respond('work', (request, { signal }) => {
        if (request === 'throw') throw new Error('not this one')
        signals.push(signal)
        signal.addEventListener('abort', () => {
          if (signals.length === 2) ended.resolve()
        })
        begun.resolve()
        return never()
      })
      .ready()
    const leaving = new AbortController()
    const given = failure(() => asker.dispatch('work', 1, { signal: leaving.signal }), 'ABORTED')
    await begun.promise
    leaving.abort()
    errors.push(await given)
    begun = deferred()
    errors.push(await failure(() => asker.dispatch('work', 1, { timeoutMs: 50 }), 'TIMEOUT'))
    await begun.promise
    await ended.promise
    const refused = await failure(() => asker.dispatch('work', 'throw'), 'RESPONDER_FAILED')
    expect(`${refused.message} ${refused.cause}`).toContain('not this one')
    for (const error of [...errors, refused]) expect(error).toBeInstanceOf(DispatchError)
  })

  it('lets a responder hand it back', async () => {
    const backing = await setup()
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    const refuse = (): never => {
      throw new HandedBackError('I am not fit for this.')
    }
    await one.respond('back', refuse).ready()
    const pending = asker.dispatch<number>('back', 1)
    await two.respond('back', (_, { attempt }) => attempt).ready()
    expect(await pending).toMatchObject({ value: 2, reroutedFrom: [{ attempt: 1, reason: 'handed-back' }] })
  })

  it('carries bytes, and finishes many at once in any order', async () => {
    const backing = await setup()
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    const open: { reply: Deferred<Uint8Array>; bytes: Uint8Array }[] = []
    const all = deferred()
    const answer = (bytes: Uint8Array): Promise<Uint8Array> => {
      const reply = deferred<Uint8Array>()
      if (open.push({ reply, bytes }) === 100) all.resolve()
      return reply.promise
    }
    await one.respond<Uint8Array>('raw', answer, { payload: 'bytes' }).ready()
    await two.respond<Uint8Array>('raw', answer, { payload: 'bytes' }).ready()
    const pending = numbers(100).map((number) =>
      asker.dispatch<Uint8Array>('raw', Uint8Array.of(number), { payload: 'bytes' }),
    )
    await all.promise
    for (const { reply, bytes } of open.reverse()) reply.resolve(Uint8Array.of(bytes[0], 255))
    const outcomes = await Promise.all(pending)
    expect(outcomes.map(({ value }) => [...value])).toEqual(numbers(100).map((number) => [number, 255]))
    expect(new Set(outcomes.map(({ deliveredTo }) => deliveredTo)).size).toBe(2)
    await backing.settled()
    expect(backing.conversations()).toBe(0)
  })
}
