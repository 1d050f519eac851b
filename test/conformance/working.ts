import { expect, it } from 'vitest'
import type { WorkContext } from '../../ts/bus/index.ts'
import { HandedBackError } from '../../ts/routing/index.ts'
import type { Setup } from './suite.ts'
import { deferred, failure, numbers } from './tools.ts'

/** Workers, and the work that is dispatched to them. Each has a bus of its own: a connection has one worker. */
export function workingTests(setup: Setup): void {
  it('gives a worker what is dispatched to its task queue, and tells how it went', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const contexts: WorkContext[] = []
    const worker = one.worker.register<{ n: number }>({ identity: 'one', taskQueue: 'sums' }, ({ n }, context) => {
      contexts.push(context)
      return { n: n + 1 }
    })
    await worker.ready()
    const outcome = await asker.dispatch<{ n: number }>('sums', { n: 1 }, { key: 'k' })
    expect(outcome).toMatchObject({ value: { n: 2 }, deliveredTo: 'one', attempts: 1, reroutedFrom: [] })
    expect(contexts[0]).toMatchObject({ subject: 'sums', attempt: 1, key: 'k' })
    expect(contexts[0].leaseExpiresAt).toBeGreaterThan(Date.now())
    expect(contexts[0].signal.aborted).toBe(false)
  })

  it('reaches a worker by ask and by converse too', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    await one.worker.register<number>({ identity: 'one', taskQueue: 'double' }, (n) => n * 2).ready()
    expect(await asker.ask('double', 4)).toBe(8)
    await using conversation = await asker.converse('double')
    expect([await conversation.request(1), await conversation.request(2)]).toEqual([2, 4])
  })

  it('carries bytes', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const options = { identity: 'one', taskQueue: 'raw', payload: 'bytes' } as const
    await one.worker.register<Uint8Array>(options, (bytes) => Uint8Array.from(bytes).reverse()).ready()
    const outcome = await asker.dispatch<Uint8Array>('raw', Uint8Array.of(1, 2, 255), { payload: 'bytes' })
    expect([...outcome.value]).toEqual([255, 2, 1])
  })

  it('lets work wait for a worker to come', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const early = asker.dispatch<string>('later', 'x', { timeoutMs: 10_000 })
    await one.worker.register({ identity: 'one', taskQueue: 'later' }, (work) => work).ready()
    expect((await early).value).toBe('x')
  })

  it('fails at once where it is told not to wait', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    await failure(() => bus.dispatch('nobody', 1, { whenUnavailable: 'fail' }), 'NO_RESPONDER')
    await failure(() => bus.dispatch('nobody', 1, { timeoutMs: 20 }), 'TIMEOUT')
  })

  it('takes a throw for the answer, which nobody else is asked for', async () => {
    const backing = await setup()
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    let calls = 0
    const refuse = (): never => {
      calls++
      throw new Error('not this one')
    }
    await one.worker.register({ identity: 'one', taskQueue: 'refused' }, refuse).ready()
    await two.worker.register({ identity: 'two', taskQueue: 'refused' }, refuse).ready()
    const error = await failure(() => asker.dispatch('refused', 1), 'RESPONDER_FAILED')
    expect(calls).toBe(1)
    expect(`${error.message} ${error.cause}`).toContain('not this one')
  })

  it('gives what is handed back to another worker, with the attempt raised', async () => {
    const backing = await setup()
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    await one.worker
      .register({ identity: 'one', taskQueue: 'back' }, () => {
        throw new HandedBackError('I am not fit for this.')
      })
      .ready()
    const early = asker.dispatch<number>('back', 1)
    await two.worker.register({ identity: 'two', taskQueue: 'back' }, (_, { attempt }) => attempt).ready()
    expect(await early).toMatchObject({
      value: 2,
      deliveredTo: 'two',
      attempts: 2,
      reroutedFrom: [{ consumer: 'one', attempt: 1, reason: 'handed-back' }],
    })
  })

  it('never gives a worker more than it takes at once', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    let underway = 0
    let most = 0
    const worker = one.worker.register({ identity: 'one', taskQueue: 'few', capacity: 3 }, async (work) => {
      most = Math.max(most, ++underway)
      await new Promise((resolve) => setImmediate(resolve))
      underway--
      return work
    })
    await worker.ready()
    const outcomes = await Promise.all(numbers(50).map((number) => asker.dispatch<number>('few', number)))
    expect(outcomes.map(({ value }) => value)).toEqual(numbers(50))
    expect(most).toBe(3)
  })

  it('hands back what it is at when it is closed, at once', async () => {
    const backing = await setup()
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    const begun = deferred<AbortSignal>()
    const worker = one.worker.register({ identity: 'one', taskQueue: 'leave' }, (_, { signal }) => {
      begun.resolve(signal)
      return new Promise(() => {})
    })
    await worker.ready()
    const pending = asker.dispatch('leave', 1)
    const signal = await begun.promise
    await two.worker.register({ identity: 'two', taskQueue: 'leave' }, () => 'done').ready()
    await worker.close()
    await worker.closed
    expect(signal.aborted).toBe(true)
    expect(await pending).toMatchObject({ value: 'done', deliveredTo: 'two', attempts: 2 })
    expect((await asker.dispatch('leave', 2)).deliveredTo).toBe('two')
  })

  it('finishes what it is at when it is closed with a grace, and gets nothing more', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const begun = deferred()
    const finish = deferred()
    const worker = one.worker.register({ identity: 'one', taskQueue: 'grace' }, async () => {
      begun.resolve()
      await finish.promise
      return 'finished'
    })
    await worker.ready()
    const pending = asker.dispatch('grace', 1)
    await begun.promise
    const closing = worker.close({ graceMs: 10_000 })
    finish.resolve()
    await closing
    expect(await pending).toMatchObject({ value: 'finished', attempts: 1 })
    await failure(() => asker.dispatch('grace', 2, { whenUnavailable: 'fail' }), 'NO_RESPONDER')
  })

  it('gives work whose lease runs out to another worker, and refuses the late answer', async () => {
    const backing = await setup({ leaseMs: 50 })
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    const late = deferred()
    const expired = deferred<unknown>()
    await one.worker
      .register({ identity: 'one', taskQueue: 'lease' }, async (_, { signal }) => {
        signal.addEventListener('abort', () => expired.resolve(signal.reason))
        await late.promise
        return 'too late'
      })
      .ready()
    const pending = asker.dispatch('lease', 1)
    await two.worker.register({ identity: 'two', taskQueue: 'lease' }, () => 'in time').ready()
    const outcome = await pending
    late.resolve()
    expect(outcome).toMatchObject({ value: 'in time', deliveredTo: 'two', attempts: 2 })
    expect(await expired.promise).toMatchObject({ code: expect.stringMatching(/TIMEOUT|ABORTED/) })
  })

  it('lets a worker keep work for longer than its lease', async () => {
    const backing = await setup({ leaseMs: 250 })
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    const leftAlone = deferred()
    const kept = deferred()
    await one.worker
      .register<string>({ identity: 'one', taskQueue: 'extend', capacity: 2 }, async (work, context) => {
        if (work === 'let it run out') {
          context.signal.addEventListener('abort', () => leftAlone.resolve())
          return new Promise(() => {})
        }
        context.extend(60_000)
        kept.resolve()
        // Begun later and never extended: once that one has run out, this one would have, too.
        await leftAlone.promise
        return context.signal.aborted
      })
      .ready()
    const pending = asker.dispatch('extend', 'keep it')
    await kept.promise
    const lost = asker.dispatch('extend', 'let it run out')
    await leftAlone.promise
    await two.worker.register({ identity: 'two', taskQueue: 'extend' }, () => 'taken over').ready()
    expect(await pending).toMatchObject({ value: false, deliveredTo: 'one', attempts: 1 })
    expect(await lost).toMatchObject({ value: 'taken over', deliveredTo: 'two', attempts: 2 })
  })

  it('tells the worker when nobody waits any more', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const begun = deferred()
    const abandoned = deferred()
    await one.worker
      .register({ identity: 'one', taskQueue: 'abandon' }, (_, { signal }) => {
        signal.addEventListener('abort', () => abandoned.resolve())
        begun.resolve()
        return abandoned.promise
      })
      .ready()
    const leaving = new AbortController()
    const pending = asker.dispatch('abandon', 1, { signal: leaving.signal })
    await begun.promise
    leaving.abort()
    await failure(() => pending, 'ABORTED')
    await abandoned.promise
  })

  it('refuses registrations that cannot be', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    await failure(() => bus.worker.register({ identity: '', taskQueue: 'x' }, () => 1), 'INVALID_ARGUMENT')
    await failure(
      () => bus.worker.register({ identity: 'x', taskQueue: 'x', capacity: 0 }, () => 1),
      'INVALID_ARGUMENT',
    )
  })
}
