import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { runSaga, SagaError, type SagaStep } from '../../ts/bus/index.ts'
import { deferred, failure, numbers } from '../conformance/tools.ts'

/** Notes what is run and what is undone. */
function noted(log: string[], name: string, result: unknown = name): SagaStep {
  return {
    name,
    run: async () => {
      log.push(`+${name}`)
      return result
    },
    compensate: async (given) => {
      log.push(`-${String(given)}`)
    },
  }
}

async function sagaError(call: () => Promise<unknown>): Promise<SagaError> {
  const error = await failure(call, 'SAGA_FAILED')
  if (!(error instanceof SagaError)) throw error
  return error
}

describe('a saga', () => {
  it('runs its steps in order, each with the results of those before it', async () => {
    const results = await runSaga([
      { name: 'one', run: () => 1 },
      { name: 'two', run: async ({ results: before }) => Number(before.one) + 1 },
      { name: 'three', run: ({ results: before }) => ({ ...before }) },
    ])
    expect(results).toEqual({ one: 1, two: 2, three: { one: 1, two: 2 } })
    expect(await runSaga([])).toEqual({})
  })

  it('types results and compensations by the word of the caller', async () => {
    const cancelled: string[] = []
    const { hotel } = await runSaga<{ hotel: { id: string }; flight: { after: string } }>([
      {
        name: 'hotel',
        run: async (): Promise<{ id: string }> => ({ id: 'h-1' }),
        compensate: (booking: { id: string }) => cancelled.push(booking.id),
      },
      { name: 'flight', run: ({ results }) => ({ after: results.hotel.id }), compensate: (booking) => booking },
    ])
    expect(hotel.id).toBe('h-1')
    expect(cancelled).toEqual([])
  })

  it('says how it went also for what cannot be shown', async () => {
    const thrown: unknown = Object.create(null)
    const error = await sagaError(() =>
      runSaga([
        {
          name: 'a',
          run: () => {
            throw thrown
          },
        },
      ]),
    )
    expect(error.step).toBe('a')
    expect(error.cause).toBe(thrown)
  })

  it('undoes what was done in reverse order, and not what failed', async () => {
    const log: string[] = []
    const broken: SagaStep = {
      name: 'c',
      run: () => {
        log.push('+c')
        throw new Error('no room')
      },
      compensate: () => log.push('-c'),
    }
    const error = await sagaError(() => runSaga([noted(log, 'a'), noted(log, 'b'), broken, noted(log, 'd')]))
    expect(log).toEqual(['+a', '+b', '+c', '-b', '-a'])
    expect(error).toMatchObject({ step: 'c', isCompensated: true, cause: { message: 'no room' } })
    expect(error.compensations).toEqual([
      { step: 'b', is: 'done' },
      { step: 'a', is: 'done' },
    ])
  })

  it('undoes the others also if one cannot be undone, and says which', async () => {
    const log: string[] = []
    const stuck: SagaStep = {
      name: 'b',
      run: () => 'b',
      compensate: (_, { failedStep, error }) => {
        throw new Error(`cannot undo after ${failedStep}: ${String(error)}`)
      },
    }
    const fails: SagaStep = { name: 'd', run: () => Promise.reject(new Error('x')) }
    const error = await sagaError(() => runSaga([noted(log, 'a'), stuck, { name: 'c', run: () => 1 }, fails]))
    expect(log).toEqual(['+a', '-a'])
    expect(error.isCompensated).toBe(false)
    expect(error.message).toContain("Not undone: 'b'")
    expect(error.compensations).toMatchObject([
      { step: 'c', is: 'none' },
      { step: 'b', is: 'failed', error: { message: 'cannot undo after d: Error: x' } },
      { step: 'a', is: 'done' },
    ])
  })

  it('is undone when it is aborted, the step that was running included', async () => {
    const log: string[] = []
    const leaving = new AbortController()
    const running: SagaStep = {
      name: 'b',
      run: ({ signal }) => {
        leaving.abort('enough')
        expect(signal.aborted).toBe(true)
        return 'b'
      },
      compensate: () => log.push('-b'),
    }
    const error = await sagaError(() =>
      runSaga([noted(log, 'a'), running, noted(log, 'c')], { signal: leaving.signal }),
    )
    expect(error).toMatchObject({ step: 'c', cause: { code: 'ABORTED', cause: 'enough' } })
    expect(log).toEqual(['+a', '-b', '-a'])
    const never = await sagaError(() => runSaga([noted(log, 'z')], { signal: AbortSignal.abort() }))
    expect(never.compensations).toEqual([])
    expect(log).not.toContain('+z')
  })

  it('is undone when it takes too long, and so is a compensation given up that does', async () => {
    const aborted = deferred<unknown>()
    const slow: SagaStep = {
      name: 'b',
      run: ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    }
    const stuck: SagaStep = {
      name: 'a',
      run: () => 1,
      compensate: (_, { signal }) => {
        signal.addEventListener('abort', () => aborted.resolve(signal.reason))
        return new Promise(() => {})
      },
    }
    const error = await sagaError(() => runSaga([stuck, slow], { timeoutMs: 20, compensationMs: 20 }))
    expect(error.cause).toMatchObject({ code: 'TIMEOUT' })
    expect(error.compensations).toMatchObject([{ step: 'a', is: 'failed', error: { code: 'TIMEOUT' } }])
    expect(await aborted.promise).toMatchObject({ code: 'TIMEOUT' })
  })

  it('refuses steps that cannot be run, before it runs any', async () => {
    const log: string[] = []
    const twice = [noted(log, 'a'), noted(log, 'a')]
    await failure(() => runSaga(twice), 'INVALID_ARGUMENT')
    await failure(() => runSaga([noted(log, 'a'), { name: '', run: () => 1 }]), 'INVALID_ARGUMENT')
    await failure(() => runSaga([{ name: 'a', run: () => 1, compensation: 1 } as SagaStep]), 'INVALID_ARGUMENT')
    await failure(() => runSaga([], { timeoutMs: -1 }), 'INVALID_ARGUMENT')
    expect(log).toEqual([])
  })

  it('undoes exactly the steps that were done, the last one first, whatever fails', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 12 }),
        fc.nat(11),
        fc.array(fc.nat(11)),
        async (count, failing, stuck) => {
          const log: number[] = []
          const steps = numbers(count).map(
            (index): SagaStep => ({
              name: `step ${index}`,
              run: async () => {
                if (index === failing) throw new Error('this one')
                return index
              },
              compensate: async () => {
                log.push(index)
                if (stuck.includes(index)) throw new Error('stuck')
              },
            }),
          )
          if (failing >= count) {
            expect(Object.values(await runSaga(steps))).toEqual(numbers(count))
            expect(log).toEqual([])
            return
          }
          const error = await sagaError(() => runSaga(steps))
          expect(log).toEqual(numbers(failing).reverse())
          expect(error.compensations.map(({ is }) => is)).toEqual(
            log.map((index) => (stuck.includes(index) ? 'failed' : 'done')),
          )
        },
      ),
    )
  })
})
