import { describe, expect, it } from 'vitest'
import type { Delivery } from '../../ts/bus/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { deferred, failure, numbers, Taker } from '../conformance/tools.ts'
import { numberQueue, pushNumbers } from './queues.ts'

const shed = new LiminalError('SUBSCRIPTION_SHED', 'Too slow.')

describe('the queue of a subscription, iterated', () => {
  it('hands out what waits, and what comes', async () => {
    const { queue, pending } = numberQueue()
    pushNumbers(queue, [1, 2])
    expect(queue.pending).toBe(2)
    expect(queue.pendingBytes).toBe(2)
    const taker = new Taker(queue.subscription)
    expect(await taker.values(2)).toEqual([1, 2])
    const third = taker.next()
    pushNumbers(queue, [3])
    expect((await third).value).toBe(3)
    expect(pending).toEqual([1, 0, 0])
    expect(queue.pendingBytes).toBe(0)
  })

  it('keeps order and count through bursts of any size', async () => {
    const { queue } = numberQueue()
    const taker = new Taker(queue.subscription)
    let next = 1
    for (const burst of [1, 63, 64, 65, 5_000, 3, 20_000]) {
      const values = numbers(burst).map((value) => next + value)
      pushNumbers(queue, values)
      // Some stay, so that the ring wraps.
      const take = Math.ceil(burst * 0.7)
      expect(await taker.values(take)).toEqual(values.slice(0, take))
      expect(await taker.values(burst - take)).toEqual(values.slice(take))
      next += burst
    }
    expect(queue.pending).toBe(0)
  })

  it('tells its owner each step of acceptance once, with the epoch it belongs to', async () => {
    const { queue, accepted } = numberQueue({ accept: 'explicit', maxInFlight: 4 })
    pushNumbers(queue, [1, 2])
    const taker = new Taker(queue.subscription)
    const [first, second] = [await taker.next(), await taker.next()]
    pushNumbers(queue, [1, 2], 1)
    const [third, fourth] = [await taker.next(), await taker.next()]
    second.accept()
    first.accept()
    second.accept()
    fourth.accept()
    third.accept()
    expect(accepted).toEqual(['2/0', '2/1'])
  })

  it('accepts what was handed out when asked for more', async () => {
    const { queue, accepted } = numberQueue()
    pushNumbers(queue, [1, 2, 3])
    const taker = new Taker(queue.subscription)
    await taker.values(3)
    expect(accepted).toEqual(['1/0', '2/0'])
    const more = taker.next()
    expect(accepted).toEqual(['1/0', '2/0', '3/0'])
    pushNumbers(queue, [4])
    await more
  })

  it('hands out what it has before the error that ended it, and tells of that at once', async () => {
    const { queue, closes } = numberQueue()
    pushNumbers(queue, [1, 2])
    queue.fail(shed)
    queue.fail(new Error('a later one'))
    pushNumbers(queue, [3])
    await expect(queue.subscription.closed).rejects.toBe(shed)
    await expect(queue.subscription.ready()).rejects.toBe(shed)
    const taker = new Taker(queue.subscription)
    expect(await taker.values(2)).toEqual([1, 2])
    await taker.fails('SUBSCRIPTION_SHED')
    await taker.end()
    await new Taker(queue.subscription).fails('SUBSCRIPTION_SHED')
    expect(closes.count).toBe(0)
  })

  it('drops what it has if it is told to', async () => {
    const { queue } = numberQueue()
    pushNumbers(queue, [1, 2])
    queue.fail(shed, 'drop')
    await new Taker(queue.subscription).fails('SUBSCRIPTION_SHED')
  })

  it('fails the first who waits, and ends for the others', async () => {
    const { queue } = numberQueue()
    const taker = new Taker(queue.subscription)
    const waiting = [taker.fails('SUBSCRIPTION_SHED'), taker.end(), taker.end()]
    queue.fail(shed)
    await Promise.all(waiting)
  })

  it('gives the rest to one who waits for room when it has failed', async () => {
    const { queue } = numberQueue({ accept: 'explicit', maxInFlight: 1 })
    pushNumbers(queue, [1, 2])
    const taker = new Taker(queue.subscription)
    const first = await taker.next()
    const waiting = [taker.next(), taker.fails('SUBSCRIPTION_SHED')]
    queue.fail(shed)
    first.accept()
    expect(await waiting[0]).toMatchObject({ value: 2 })
    await waiting[1]
  })

  it('is closed where it comes from, once, and close waits for that', async () => {
    const closing = deferred()
    let closes = 0
    const { queue } = numberQueue({
      onClose: () => {
        closes++
        return closing.promise
      },
    })
    queue.opened()
    pushNumbers(queue, [1])
    const steps: string[] = []
    const closed = queue.subscription.close().then(() => steps.push('closed'))
    await queue.subscription.closed
    steps.push('over')
    closing.resolve()
    await closed
    await queue.subscription.close()
    expect(steps).toEqual(['over', 'closed'])
    expect(closes).toBe(1)
    await new Taker(queue.subscription).end()
  })

  it('says that it was closed to who still waits for it to be ready', async () => {
    const { queue } = numberQueue()
    const ready = failure(() => queue.subscription.ready(), 'CLOSED')
    await queue.subscription.close()
    await ready
    await queue.subscription.closed
  })

  it('never begins for a signal that was aborted before, and closes nothing', async () => {
    const { queue, closes } = numberQueue({ signal: AbortSignal.abort('before') })
    expect(queue.open).toBe(false)
    await failure(() => queue.subscription.ready(), 'ABORTED')
    await queue.subscription.closed
    await queue.subscription.close()
    expect(closes.count).toBe(0)
  })

  it('listens to its signal no longer than it lives', async () => {
    const controller = new AbortController()
    const { queue, closes } = numberQueue({ signal: controller.signal })
    queue.fail(shed)
    controller.abort()
    await expect(queue.subscription.closed).rejects.toBe(shed)
    expect(closes.count).toBe(0)
  })
})

describe('the queue of a subscription, with a handler', () => {
  it('hands out in batches, after the push, and accepts each', async () => {
    const batches: number[][] = []
    const done = deferred()
    const { queue, accepted } = numberQueue({
      handler: (deliveries) => {
        batches.push(deliveries.map((delivery) => delivery.value))
        if (batches.length === 3) done.resolve()
      },
      maxInFlight: 2,
    })
    pushNumbers(queue, [1, 2, 3])
    pushNumbers(queue, [4, 5])
    expect(batches).toEqual([])
    await done.promise
    expect(batches).toEqual([[1, 2], [3, 4], [5]])
    expect(accepted).toEqual(['2/0', '4/0', '5/0'])
  })

  it('waits for an asynchronous handler before it hands out more', async () => {
    const calls: { values: number[]; done: ReturnType<typeof deferred<void>> }[] = []
    const called: ReturnType<typeof deferred<void>>[] = [deferred(), deferred()]
    const { queue, accepted } = numberQueue({
      handler: (deliveries) => {
        const done = deferred()
        calls.push({ values: deliveries.map((delivery) => delivery.value), done })
        called[calls.length - 1].resolve()
        return done.promise
      },
    })
    pushNumbers(queue, [1])
    await called[0].promise
    pushNumbers(queue, [2])
    pushNumbers(queue, [3])
    await new Promise((resolve) => setImmediate(resolve))
    expect(calls).toHaveLength(1)
    expect(accepted).toEqual([])
    calls[0].done.resolve()
    await called[1].promise
    expect(calls.map((call) => call.values)).toEqual([[1], [2, 3]])
    expect(accepted).toEqual(['1/0'])
  })

  it('is over when the handler throws, and closed where it comes from', async () => {
    const broken = new Error('a bug')
    const { queue, closes } = numberQueue({
      handler: () => {
        throw broken
      },
    })
    queue.opened()
    const closed = expect(queue.subscription.closed).rejects.toBe(broken)
    pushNumbers(queue, [1, 2])
    await closed
    expect(queue.pending).toBe(0)
    expect(closes.count).toBe(1)
    await queue.subscription.close()
    expect(closes.count).toBe(1)
  })

  it('hands out the rest when it failed, and nothing when it was closed', async () => {
    const seen: number[] = []
    const handler = (deliveries: readonly Delivery<number>[]): void => {
      for (const delivery of deliveries) seen.push(delivery.value)
    }
    const failing = numberQueue({ handler })
    pushNumbers(failing.queue, [1, 2])
    failing.queue.fail(shed)
    const closing = numberQueue({ handler })
    pushNumbers(closing.queue, [3])
    const closed = closing.queue.subscription.close()
    await expect(failing.queue.subscription.closed).rejects.toBe(shed)
    await closed
    await new Promise((resolve) => setImmediate(resolve))
    expect(seen).toEqual([1, 2])
  })

  it('warns when it ends unseen, and only then', async () => {
    const warnings: string[] = []
    const listener = (warning: Error): void => {
      warnings.push(warning.message)
    }
    process.on('warning', listener)
    const throwing = (): void => {
      throw new Error('cannot bill this')
    }
    const watched = numberQueue({ handler: throwing })
    const closed = expect(watched.queue.subscription.closed).rejects.toThrow()
    pushNumbers(watched.queue, [1])
    await closed
    const dropped = numberQueue({ handler: throwing })
    dropped.queue.fail(new LiminalError('CLOSED', 'The bus is closed.'), 'drop')
    const warned = new Promise((resolve) => process.once('warning', resolve))
    const unseen = numberQueue({ handler: throwing })
    pushNumbers(unseen.queue, [1])
    await warned
    process.off('warning', listener)
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(/'ticks'.*cannot bill this/)
  })

  it('reports a handler that fails after the end', async () => {
    const started = deferred()
    const running = deferred()
    const { queue } = numberQueue({
      handler: () => {
        started.resolve()
        return running.promise
      },
    })
    pushNumbers(queue, [1])
    await started.promise
    await queue.subscription.close()
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
    running.reject(new Error('too late'))
    expect((await warned).message).toContain('too late')
    await queue.subscription.closed
  })
})
