import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type BehaviourContext, type Conversation, createBus, type LocalBus } from '../../ts/bus/index.ts'
import { CONVERSATION_JOURNAL_FAILED } from '../../ts/conversation/index.ts'
import { Deferred } from '../../ts/deferred.ts'
import { MemoryStore, type StoreWrite } from '../../ts/durability/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { exitKilled } from '../../ts/process/index.ts'
import { HandedBackError } from '../../ts/routing/index.ts'
import { numbers } from '../conformance/tools.ts'
import { eventually } from '../eventually.ts'

const open: LocalBus[] = []

afterEach(async () => {
  vi.useRealTimers()
  for (const bus of open.splice(0)) await bus.close()
})

async function busOn(store: MemoryStore, options = {}): Promise<LocalBus> {
  const bus = await createBus({ store, ...options })
  open.push(bus)
  return bus
}

async function durable(bus: LocalBus, key: string, options = {}): Promise<Conversation> {
  return await bus.converse('order', { durable: true, key, ...options })
}

describe('a durable conversation', () => {
  it('answers, and closes', async () => {
    const bus = await busOn(new MemoryStore())
    bus.respond<number>('order', (value) => value + 1)
    const conversation = await durable(bus, 'o-1')
    expect(await conversation.request(1)).toBe(2)
    expect(await conversation.request(2)).toBe(3)
    expect(conversation.key).toBe('o-1')
    await conversation.close()
    await conversation.closed
    await expect(conversation.request(3)).rejects.toMatchObject({ code: 'CONVERSATION_CLOSED' })
  })

  it('is refused where there is nowhere to keep it', async () => {
    const bus = await createBus()
    open.push(bus)
    await expect(bus.converse('order', { durable: true })).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
  })

  it('waits for a responder', async () => {
    const bus = await busOn(new MemoryStore())
    const conversation = await durable(bus, 'o-1')
    const reply = conversation.request('early')
    bus.respond('order', (value) => `${value} answered`)
    expect(await reply).toBe('early answered')
  })

  it('gives a repeated request the reply of the first, and of one that is underway', async () => {
    const bus = await busOn(new MemoryStore())
    let runs = 0
    const gate = new Deferred<void>()
    bus.respond('order', async () => {
      runs++
      await gate.promise
      return runs
    })
    const conversation = await durable(bus, 'o-1')
    const other = await durable(bus, 'o-1')
    const first = conversation.request('charge', { requestId: 'r-1' })
    const second = other.request('charge', { requestId: 'r-1' })
    gate.resolve()
    expect(await Promise.all([first, second])).toEqual([1, 1])
    expect(await conversation.request('charge', { requestId: 'r-1' })).toBe(1)
    expect(await conversation.request('charge', { requestId: 'r-2' })).toBe(2)
  })

  it('goes on with the steps of a participant that crashed, holes first', async () => {
    const bus = await busOn(new MemoryStore())
    const effects: string[] = []
    let crash = (): void => {}
    let isFirst = true
    const behaviour = async (_: unknown, context: BehaviourContext) => {
      const one = isFirst
      isFirst = false
      const outputs: unknown[] = []
      for (const step of [0, 2, 1]) {
        if (one && step === 1) {
          crash()
          return await new Promise(() => {})
        }
        outputs.push(
          await context.step(`step-${step}`, () => {
            effects.push(`${step}`)
            return { step, by: context.attempt }
          }),
        )
      }
      return outputs
    }
    const dying = bus.respond('order', behaviour)
    crash = () => dying.process.exit(exitKilled())
    const conversation = await durable(bus, 'o-1')
    const reply = conversation.request('go')
    bus.respond('order', behaviour)
    expect(await reply).toEqual([
      { step: 0, by: 1 },
      { step: 2, by: 1 },
      { step: 1, by: 2 },
    ])
    expect(effects).toEqual(['0', '2', '1'])
  })

  it('answers what was asked before a restart, without running completed steps again', async () => {
    const store = new MemoryStore()
    const before = await busOn(store)
    const effects: string[] = []
    const atStep = new Deferred<void>()
    before.respond('order', async (_, { step }) => {
      await step('0', () => effects.push('0'))
      await step('2', () => effects.push('2'))
      atStep.resolve()
      await new Promise(() => {})
    })
    const conversation = await durable(before, 'o-1')
    const lost = conversation.request('go', { requestId: 'r-1', timeoutMs: 60_000 })
    await atStep.promise
    await before.close()
    await expect(lost).rejects.toMatchObject({ code: 'CLOSED' })

    const after = await busOn(store)
    expect(after.conversations()).toMatchObject([{ subject: 'order', key: 'o-1', phase: 'active' }])
    const attempts: number[] = []
    after.respond('order', async (_, { step, attempt }) => {
      attempts.push(attempt)
      const outputs = [await step('0', () => -1), await step('1', () => effects.push('1')), await step('2', () => -1)]
      return outputs
    })
    const again = await durable(after, 'o-1')
    expect(await again.request('ignored', { requestId: 'r-1' })).toEqual([1, 3, 2])
    expect(effects).toEqual(['0', '2', '1'])
    expect(attempts).toEqual([2])
  })

  it('begins a request so many times and no more, counted across restarts', async () => {
    const store = new MemoryStore()
    const attempts: number[] = []
    let bus = await busOn(store)
    const ask = async (): Promise<unknown> => {
      const conversation = await durable(bus, 'o-1')
      return await conversation
        .request('kill', { requestId: 'r-1', timeoutMs: 60_000 })
        .catch((error: unknown) => error)
    }
    for (let life = 1; life <= 16; life++) {
      const begun = new Deferred<void>()
      bus.respond('order', async (_, { attempt }) => {
        attempts.push(attempt)
        begun.resolve()
        await new Promise(() => {})
      })
      const asked = ask()
      await begun.promise
      await bus.close()
      expect(await asked).toMatchObject({ code: 'CLOSED' })
      bus = await busOn(store)
    }
    bus.respond('order', () => attempts.push(-1))
    expect(await ask()).toMatchObject({ code: 'RESPONDER_FAILED', message: expect.stringContaining('16 times') })
    expect(attempts).toEqual(Array.from({ length: 16 }, (_, index) => index + 1))
  })

  it('gives a reply that was recorded and not delivered after a restart', async () => {
    const store = new MemoryStore()
    const before = await busOn(store)
    let runs = 0
    before.respond('order', () => ++runs)
    const conversation = await durable(before, 'o-1')
    expect(await conversation.request('x', { requestId: 'r-1' })).toBe(1)
    await expect(
      conversation.request('x', { requestId: 'r-2', payload: 'bytes' }).catch((error: unknown) => error),
    ).resolves.toMatchObject({ code: 'PAYLOAD_INVALID' })
    await before.close()
    const after = await busOn(store)
    const again = await durable(after, 'o-1')
    expect(await again.request('x', { requestId: 'r-1' })).toBe(1)
    expect(runs).toBe(1)
  })

  it('repeats a recorded failure', async () => {
    const store = new MemoryStore()
    const before = await busOn(store)
    before.respond('order', () => {
      throw new Error('no stock')
    })
    const failed = { code: 'RESPONDER_FAILED', message: expect.stringContaining('no stock') }
    await expect((await durable(before, 'o-1')).request(1, { requestId: 'r' })).rejects.toMatchObject(failed)
    await before.close()
    const after = await busOn(store)
    after.respond('order', () => 'in stock')
    const conversation = await durable(after, 'o-1')
    await expect(conversation.request(1, { requestId: 'r' })).rejects.toMatchObject(failed)
    expect(await conversation.request(1, { requestId: 's' })).toBe('in stock')
  })

  it('keeps its deadline, and fails if that has passed meanwhile', async () => {
    const store = new MemoryStore()
    const before = await busOn(store)
    const conversation = await durable(before, 'o-1', { deadlineMs: 60_000 })
    const lives = await durable(before, 'o-2', { deadlineMs: 600_000 })
    const [{ deadline }] = before.conversations().filter(({ key }) => key === 'o-2')
    const asked = conversation.request(1, { requestId: 'r', timeoutMs: 60_000 }).catch((error: unknown) => error)
    await lives.request(1, { timeoutMs: 0 }).catch(() => {})
    await before.close()
    expect(await asked).toMatchObject({ code: 'CLOSED' })
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime(Date.now() + 61_000)
    const after = await busOn(store)
    const late = await durable(after, 'o-1')
    await expect(late.closed).rejects.toMatchObject({ code: 'TIMEOUT' })
    await expect(late.request(1, { requestId: 'r' })).rejects.toMatchObject({ code: 'TIMEOUT' })
    await expect(late.request(2)).rejects.toMatchObject({ code: 'TIMEOUT' })
    const [kept] = after.conversations()
    expect(kept).toMatchObject({ key: 'o-2', phase: 'active', pending: 1 })
    expect(kept.deadline ?? 0).toBeCloseTo(deadline ?? 0, -2)
  })

  it('ends with its deadline while it waits', async () => {
    const bus = await busOn(new MemoryStore())
    const conversation = await durable(bus, 'o-1', { deadlineMs: 20 })
    await expect(conversation.request(1)).rejects.toMatchObject({ code: 'TIMEOUT' })
    await expect(conversation.closed).rejects.toMatchObject({ code: 'TIMEOUT' })
  })

  it('ends when its participant leaves, after the reply', async () => {
    const store = new MemoryStore()
    const bus = await busOn(store)
    bus.respond('order', {
      open:
        ({ leave }) =>
        (value) => {
          queueMicrotask(() => queueMicrotask(() => leave()))
          return value
        },
    })
    const conversation = await durable(bus, 'o-1')
    expect(await conversation.request('bye', { requestId: 'r' })).toBe('bye')
    await conversation.closed
    await bus.close()
    const after = await busOn(store)
    expect(after.conversations()).toEqual([])
    expect(await (await durable(after, 'o-1')).request('bye', { requestId: 'r' })).toBe('bye')
  })

  it('fails with its participant where that is its policy', async () => {
    const bus = await busOn(new MemoryStore())
    const dying = bus.respond('order', () => new Promise(() => dying.process.exit(exitKilled())))
    const conversation = await durable(bus, 'o-1', { onCrash: 'fail' })
    await expect(conversation.request(1)).rejects.toMatchObject({ code: 'PARTICIPANT_GONE' })
    await expect(conversation.closed).rejects.toMatchObject({ code: 'PARTICIPANT_GONE' })
  })

  it('goes on after whoever asked has given up', async () => {
    const bus = await busOn(new MemoryStore())
    const gate = new Deferred<void>()
    bus.respond('order', async (value, { signal }) => {
      await gate.promise
      return [value, signal.aborted]
    })
    const conversation = await durable(bus, 'o-1')
    await expect(conversation.request('x', { requestId: 'r', timeoutMs: 1 })).rejects.toMatchObject({ code: 'TIMEOUT' })
    const again = conversation.request('x', { requestId: 'r' })
    gate.resolve()
    expect(await again).toEqual(['x', false])
  })

  it('goes on with a message that wants no reply', async () => {
    const store = new MemoryStore()
    const before = await busOn(store)
    const conversation = await durable(before, 'o-1')
    conversation.send({ note: 1 })
    await before.close()
    const after = await busOn(store)
    const came = new Deferred<unknown>()
    after.respond('order', (value) => came.resolve(value))
    expect(await came.promise).toEqual({ note: 1 })
  })

  it('refuses what cannot be recorded, and ids where nothing is', async () => {
    const bus = await busOn(new MemoryStore())
    bus.respond('order', (value) => value)
    const conversation = await durable(bus, 'o-1')
    expect(() => conversation.stream(1)).toThrow(expect.objectContaining({ code: 'NOT_SUPPORTED' }))
    const plain = await bus.converse('order')
    expect(plain.key).toBeNull()
    await expect(plain.request(1, { requestId: 'r' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(bus.converse('order', { key: 'k' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it('forgets the end of a conversation after its retention, and frees the key', async () => {
    const store = new MemoryStore()
    const bus = await busOn(store, { conversationRetentionMs: 0 })
    bus.respond('order', (value) => value)
    const conversation = await durable(bus, 'o-1')
    await conversation.request(1, { requestId: 'r' })
    await conversation.close()
    await eventually(async () => expect((await store.keys('snapshot', [])).keys).toEqual([]))
    expect((await store.keys('conversation', [])).keys).toEqual([])
    expect((await store.keys('meta', ['conversation-expiry'])).keys).toEqual([])
    expect(await (await durable(bus, 'o-1')).request(2, { requestId: 'r' })).toBe(2)
  })

  it('brings back as many as there is room for, and the others when there is', async () => {
    const store = new MemoryStore()
    const before = await busOn(store)
    for (let number = 0; number < 10; number++) {
      const conversation = await durable(before, `o-${number}`)
      conversation.send(number)
    }
    await before.close()
    const after = await busOn(store, { maxConversations: 3 })
    expect(after.conversations().map(({ key }) => key)).toEqual(['o-0', 'o-1', 'o-2'])
    await expect(durable(after, 'o-7')).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    const seen: unknown[] = []
    const all = new Deferred<void>()
    after.respond('order', {
      open:
        ({ leave }) =>
        (value) => {
          seen.push(value)
          if (seen.length === 10) all.resolve()
          setImmediate(() => leave())
        },
    })
    await all.promise
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it('is over for whoever lost it to another bus on the same store', async () => {
    const store = new MemoryStore()
    const one = await busOn(store)
    const other = await busOn(store)
    for (const bus of [one, other]) bus.respond('order', (value) => value)
    const first = await durable(one, 'o-1')
    const second = await durable(other, 'o-1')
    expect(await second.request(1)).toBe(1)
    await expect(first.request(2, { requestId: 'r' })).rejects.toMatchObject({ code: 'SEQUENCE_CONFLICT' })
    await expect(first.closed).rejects.toMatchObject({ code: 'SEQUENCE_CONFLICT' })
    expect(await second.request(3)).toBe(3)
    expect(one.conversations()).toEqual([])
    expect(await (await durable(one, 'o-1')).request(4)).toBe(4)
  })

  it('keeps the bus from opening if its journal cannot be read, and says which', async () => {
    const store = new MemoryStore()
    const before = await busOn(store)
    await durable(before, 'o-1')
    await before.close()
    const stream = { kind: 'conversation', parts: ['order', 'o-1'] } as const
    const bytes = new Uint8Array([1, 99, 0, 0, 0, 0])
    await store.write([{ type: 'append', stream, expected: 1n, events: { bytes, ends: new Uint32Array([6]) } }])
    const error = { code: 'STORE_CORRUPT', message: expect.stringContaining("'order' 'o-1'") }
    await expect(createBus({ store })).rejects.toMatchObject(error)
  })

  it('goes to somebody else when it is handed back, and to the same one if there is nobody else', async () => {
    const bus = await busOn(new MemoryStore())
    const seen: string[] = []
    const handsBack =
      (name: string) =>
      (_: unknown, { attempt }: BehaviourContext): string => {
        seen.push(name)
        if (attempt < 3) throw new HandedBackError('not now')
        return name
      }
    bus.respond('order', handsBack('one'))
    bus.respond('order', handsBack('other'))
    expect(await (await durable(bus, 'o-1')).request(1)).toBe(seen[2])
    expect(new Set(seen.slice(0, 2)).size).toBe(2)
  })

  it('comes back with thousands that wait, some at a time', async () => {
    const store = new MemoryStore()
    const before = await busOn(store)
    await Promise.all(numbers(1_500).map(async (number) => (await durable(before, `o-${number}`)).send(number)))
    await before.close()
    const after = await busOn(store)
    expect(after.conversations().reduce((sum, { pending }) => sum + pending, 0)).toBe(1_500)
    let underway = 0
    let most = 0
    const seen: unknown[] = []
    const all = new Deferred<void>()
    after.respond('order', async (value) => {
      most = Math.max(most, ++underway)
      await new Promise((resolve) => setImmediate(resolve))
      underway--
      if (seen.push(value) === 1_500) all.resolve()
    })
    await all.promise
    expect(seen.sort((one, other) => Number(one) - Number(other))).toEqual(numbers(1_500))
    expect(most).toBeLessThanOrEqual(512)
  })

  it('gives what was answered in the grace of a close', async () => {
    const store = new MemoryStore()
    const bus = await busOn(store)
    const begun = new Deferred<void>()
    const gate = new Deferred<void>()
    bus.respond('order', async () => {
      begun.resolve()
      await gate.promise
      return 'in time'
    })
    const reply = (await durable(bus, 'o-1')).request(1)
    await begun.promise
    const closing = bus.close({ graceMs: 10_000 })
    gate.resolve()
    expect(await reply).toBe('in time')
    await closing
  })

  it('puts its end in place of its journal later, if the store failed at that', async () => {
    const store = new KeepingStore()
    const failures: unknown[] = []
    const hear = (failure: unknown): unknown => failures.push(failure)
    subscribe(CONVERSATION_JOURNAL_FAILED, hear)
    const before = await busOn(store)
    before.respond('order', (value) => value)
    const conversation = await durable(before, 'o-1')
    expect(await conversation.request(1, { requestId: 'r' })).toBe(1)
    await conversation.close()
    await before.close()
    unsubscribe(CONVERSATION_JOURNAL_FAILED, hear)
    expect(failures).toMatchObject([{ subject: 'order', key: 'o-1', error: { code: 'STORE_FAILED' } }])
    expect((await store.keys('conversation', [])).keys).toHaveLength(1)
    store.isKeeping = false
    const after = await busOn(store)
    await after.close()
    expect((await store.keys('conversation', [])).keys).toEqual([])
    const last = await busOn(store)
    expect(await (await durable(last, 'o-1')).request(1, { requestId: 'r' })).toBe(1)
  })

  it('survives a store that fails for a while', async () => {
    const store = new FailingStore()
    const bus = await busOn(store)
    const failure = new LiminalError('STORE_FULL', 'No room.')
    bus.respond('order', (value) => {
      // The reply cannot be kept at first.
      if (value === 'reply') store.fail(failure, 2)
      return value
    })
    const conversation = await durable(bus, 'o-1')
    store.fail(failure, 1)
    await expect(conversation.request('request')).rejects.toMatchObject({ code: 'STORE_FULL' })
    expect(await conversation.request('reply')).toBe('reply')
    expect(store.failed).toBe(3)
  })
})

describe('a step', () => {
  it('runs where nothing is durable, each time', async () => {
    const bus = await busOn(new MemoryStore())
    let runs = 0
    bus.respond('order', async (_, { step }) => [await step('a', () => ++runs), await step('a', () => ++runs)])
    expect(await bus.ask('order', 1)).toEqual([1, 2])
  })

  it('that failed is run again with the same token; its attempts count', async () => {
    const store = new MemoryStore()
    const seen: [string, number][] = []
    const run = async (bus: LocalBus): Promise<Deferred<void>> => {
      const failed = new Deferred<void>()
      bus.respond('order', async (_, { step, attempt }) => {
        const charge = (): Promise<string> =>
          step('charge', ({ token, attempt: tried }) => {
            seen.push([token, tried])
            if (tried < 3) throw new Error('declined')
            return 'charged'
          })
        if (attempt === 1) {
          await expect(charge()).rejects.toThrow('declined')
          failed.resolve()
          return await new Promise(() => {})
        }
        await expect(charge()).rejects.toThrow('declined')
        return [await charge(), await step('charge', ({ token }) => token)]
      })
      return failed
    }
    const before = await busOn(store)
    const failed = await run(before)
    const lost = (await durable(before, 'o-1')).request(1, { requestId: 'r', timeoutMs: 60_000 })
    await failed.promise
    await before.close()
    await expect(lost).rejects.toMatchObject({ code: 'CLOSED' })
    const after = await busOn(store)
    await run(after)
    const [charged, otherToken] = await (await durable(after, 'o-1')).request<string[]>(1, { requestId: 'r' })
    expect(charged).toBe('charged')
    expect(seen.map(([, tried]) => tried)).toEqual([1, 2, 3])
    expect(new Set(seen.map(([token]) => token)).size).toBe(1)
    expect(otherToken).not.toBe(seen[0][0])
  })

  it('that somebody runs already is waited for', async () => {
    const bus = await busOn(new MemoryStore())
    let runs = 0
    const gate = new Deferred<void>()
    const behaviour = async (_: unknown, { step, attempt }: BehaviourContext): Promise<unknown> => {
      const running = step('slow', async () => {
        runs++
        await gate.promise
        return 'once'
      })
      if (attempt === 1) setImmediate(() => dying.process.exit(exitKilled()))
      else setImmediate(() => gate.resolve())
      return [attempt, await running]
    }
    const dying = bus.respond('order', behaviour)
    const conversation = await durable(bus, 'o-1')
    const reply = conversation.request(1)
    bus.respond('order', behaviour)
    expect(await reply).toEqual([2, 'once'])
    expect(runs).toBe(1)
  })

  it('gives undefined, and JSON of all else, the first time too', async () => {
    const bus = await busOn(new MemoryStore())
    bus.respond('order', async (_, { step }) => {
      const nothing = await step('nothing', () => {})
      const date: unknown = await step('date', () => new Date(0))
      const bigint = await step('bigint', () => 1n).catch((error: unknown) => error)
      const large = await step('large', () => 'x'.repeat(1024 * 1024)).catch((error: unknown) => error)
      return [nothing === undefined, date, ...[bigint, large].map((error) => (error as LiminalError).code)]
    })
    const conversation = await durable(bus, 'o-1')
    expect(await conversation.request(1)).toEqual([
      true,
      '1970-01-01T00:00:00.000Z',
      'PAYLOAD_INVALID',
      'PAYLOAD_TOO_LARGE',
    ])
  })
})

/** Does not put ends in place of their journals. */
class KeepingStore extends MemoryStore {
  isKeeping = true

  override async write(changes: readonly StoreWrite[]): Promise<void> {
    const finishes = changes.some((change) => change.type === 'remove' && change.stream.kind === 'conversation')
    if (this.isKeeping && finishes) throw new LiminalError('STORE_FAILED', 'Not now.')
    await super.write(changes)
  }
}

/** Fails some writes, keeping nothing of them. */
class FailingStore extends MemoryStore {
  failed = 0
  #left = 0
  #error: LiminalError | null = null

  fail(error: LiminalError, times: number): void {
    this.#error = error
    this.#left = times
  }

  override async write(changes: readonly StoreWrite[]): Promise<void> {
    if (this.#left > 0 && this.#error !== null) {
      this.#left--
      this.failed++
      throw this.#error
    }
    await super.write(changes)
  }
}
