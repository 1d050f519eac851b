import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, it } from 'vitest'
import { Deferred } from '../../ts/deferred.ts'
import {
  affinity,
  byPredicate,
  type Choice,
  ConsumerGroup,
  exists,
  leastLoaded,
  ROUTING_FAILED,
  RoutingError,
  type RoutingFailed,
  type RoutingFunction,
  roundRobin,
  routingFunction,
} from '../../ts/routing/index.ts'
import { RoutingSlot } from '../../ts/routing/routing-slot.ts'
import { completing, rejection, TestConsumer } from './consumers.ts'

function group(routing: RoutingFunction, ...consumers: TestConsumer[]): ConsumerGroup {
  const made = new ConsumerGroup('work', { routing })
  for (const consumer of consumers) made.join(consumer)
  return made
}

async function deliveredTo(made: ConsumerGroup, message: unknown, key?: string): Promise<string> {
  return (await made.dispatch(message, { key, whenUnavailable: 'fail' })).deliveredTo
}

describe('round-robin', () => {
  it('gives every consumer its turn and passes over full ones', async () => {
    const full = new TestConsumer('full')
    const made = group(roundRobin(), completing('a'), full, completing('b'))
    expect(await deliveredTo(made, 0)).toBe('a')
    const kept = made.dispatch(1)
    const turns: string[] = []
    for (let count = 0; count < 4; count++) turns.push(await deliveredTo(made, count))
    expect(turns).toEqual(['b', 'a', 'b', 'a'])
    full.received[0].complete()
    expect((await kept).deliveredTo).toBe('full')
    const other = made.dispatch(2)
    full.onDelivery = ({ complete }) => complete()
    expect(new Set([(await other).deliveredTo, await deliveredTo(made, 3), await deliveredTo(made, 4)])).toEqual(
      new Set(['a', 'b', 'full']),
    )
  })
})

describe('least-loaded', () => {
  it('compares shares of the capacity', async () => {
    const small = new TestConsumer('small', { capacity: 2 })
    const large = new TestConsumer('large', { capacity: 8 })
    const made = group(leastLoaded(), small, large)
    for (let count = 0; count < 10; count++) void made.dispatch(count)
    expect([small.received.length, large.received.length]).toEqual([2, 8])
    for (const received of [...large.received, ...small.received]) received.complete()
    await made.close()
    expect(made.inFlight).toBe(0)
  })
})

describe('affinity', () => {
  const keys = Array.from({ length: 200 }, (_, index) => `key-${index}`)

  it('keeps a key at its consumer, and moves only the keys of one that goes', async () => {
    const consumers = ['a', 'b', 'c', 'd'].map((id) => completing(id))
    const made = new ConsumerGroup('work', { routing: affinity() })
    const memberships = consumers.map((consumer) => made.join(consumer))
    const before = new Map<string, string>()
    for (const key of keys) before.set(key, await deliveredTo(made, 0, key))
    for (const key of keys) expect(await deliveredTo(made, 0, key)).toBe(before.get(key))
    expect(new Set(before.values()).size).toBe(4)
    await memberships[1].leave()
    for (const key of keys) {
      const now = await deliveredTo(made, 0, key)
      if (before.get(key) === 'b') expect(now).not.toBe('b')
      else expect(now).toBe(before.get(key))
    }
    made.join(completing('b'))
    for (const key of keys) expect(await deliveredTo(made, 0, key)).toBe(before.get(key))
  })

  it('waits for the key’s own consumer, or goes to the next, as told', async () => {
    const [a, b] = [new TestConsumer('a'), new TestConsumer('b')]
    const made = group(affinity(), a, b)
    const first = made.dispatch(1, { key: 'k' })
    const [owner, other] = a.received.length === 1 ? [a, b] : [b, a]
    const second = made.dispatch(2, { key: 'k' })
    expect(made.waiting).toBe(1)
    expect(other.received).toEqual([])
    owner.received[0].complete()
    await first
    owner.received[1].complete()
    expect((await second).deliveredTo).toBe(owner.id)
    await made.deploy(affinity({ whenFull: 'next' }))
    void made.dispatch(3, { key: 'k' })
    const spilled = made.dispatch(4, { key: 'k' })
    other.received[0].complete()
    expect((await spilled).deliveredTo).toBe(other.id)
  })

  it('takes the key from a field of the message', async () => {
    const made = group(affinity({ field: 'user.id' }), completing('a'), completing('b'), completing('c'))
    const owner = await deliveredTo(made, { user: { id: 7 } })
    for (let count = 0; count < 5; count++) expect(await deliveredTo(made, { user: { id: 7 } })).toBe(owner)
    expect(await deliveredTo(made, {}, '7')).toBe(owner)
    const turns = new Set([await deliveredTo(made, {}), await deliveredTo(made, {}), await deliveredTo(made, {})])
    expect(turns.size).toBe(3)
  })
})

describe('by predicate', () => {
  it('sends a message where the first rule that holds says', async () => {
    const gpu = completing('gpu', { tags: ['gpu'] })
    const large = completing('large', { tags: ['cpu', 'large'] })
    const small = completing('small', { tags: ['cpu'] })
    const rules = [
      { when: 'needs.gpu = true', tag: 'gpu' },
      { when: 'size > 100', tag: 'large' },
      { when: exists('user'), tag: 'cpu', by: affinity({ field: 'user' }) },
    ]
    const made = group(byPredicate(rules, roundRobin()), gpu, large, small)
    expect(await deliveredTo(made, { needs: { gpu: true }, size: 500 })).toBe('gpu')
    expect(await deliveredTo(made, { size: 500 })).toBe('large')
    const owner = await deliveredTo(made, { user: 'u1' })
    expect(['large', 'small']).toContain(owner)
    expect(await deliveredTo(made, { user: 'u1' })).toBe(owner)
    const others = new Set([await deliveredTo(made, {}), await deliveredTo(made, {}), await deliveredTo(made, {})])
    expect(others.size).toBe(3)
  })

  it('leaves waiting only those whose consumers are full', async () => {
    const gpu = new TestConsumer('gpu', { tags: ['gpu'] })
    const cpu = completing('cpu', { tags: ['cpu'] })
    const made = group(
      byPredicate([
        { when: 'gpu = true', tag: 'gpu' },
        { when: 'true', tag: 'cpu' },
      ]),
      gpu,
      cpu,
    )
    void made.dispatch({ gpu: true })
    const waiting = made.dispatch({ gpu: true })
    expect(await deliveredTo(made, {})).toBe('cpu')
    expect(await deliveredTo(made, {})).toBe('cpu')
    expect(made.waiting).toBe(1)
    gpu.received[0].complete()
    await gpu.got(2)
    gpu.received[1].complete()
    expect((await waiting).deliveredTo).toBe('gpu')
  })

  it('fails at once if no rule holds, and refuses rules that cannot be read', async () => {
    const made = group(byPredicate([{ when: 'a = 1' }]), completing('a'))
    expect((await rejection(made.dispatch({}))).message).toMatch(/no rule for this message/)
    expect(() => byPredicate([{ when: 'a =' }])).toThrow(/Expected a string/)
  })
})

describe('a user’s routing function', () => {
  it('sees the message, the attempt, and the live state of the consumers', async () => {
    const seen: unknown[] = []
    const routing = routingFunction('mine', ({ message, attempt, key, consumers }) => {
      for (const { id, inFlight, capacity, available, tags } of consumers) {
        seen.push({ message, attempt, key, id, inFlight, capacity, available, tags })
      }
      return [...consumers].find(({ available }) => available > 0)?.id ?? null
    })
    const busy = new TestConsumer('busy', { capacity: 1, tags: ['t'] })
    const made = group(routing, busy, completing('free', { capacity: 2 }))
    void made.dispatch('one', { key: 'k' })
    seen.length = 0
    expect(await deliveredTo(made, 'two', 'k')).toBe('free')
    const common = { message: 'two', attempt: 1, key: 'k' }
    expect(seen).toEqual([
      { ...common, id: 'busy', inFlight: 1, capacity: 1, available: 0, tags: ['t'] },
      { ...common, id: 'free', inFlight: 0, capacity: 2, available: 2, tags: [] },
    ])
  })

  it('that throws, rejects, hangs or answers nonsense fails that dispatch with its hash, and nothing else', async () => {
    const failures: RoutingFailed[] = []
    const listen = (event: unknown): void => {
      failures.push(event as RoutingFailed)
    }
    subscribe(ROUTING_FAILED, listen)
    const hostile = routingFunction(
      'hostile',
      ({ message, consumers }): Choice | Promise<Choice> => {
        if (message === 'throw') throw new Error('no')
        if (message === 'reject') return Promise.reject('never')
        if (message === 'hang') return new Promise(() => {})
        if (message === 'nonsense') return JSON.parse('7')
        if (message === 'nobody') return 'nobody'
        return consumers.next()?.id ?? null
      },
      { timeoutMs: 20 },
    )
    const made = group(hostile, completing('a'))
    const expected = {
      throw: 'crashed',
      reject: 'crashed',
      hang: 'timed-out',
      nonsense: 'crashed',
      nobody: 'unknown-consumer',
    }
    for (const [message, failure] of Object.entries(expected)) {
      const error = await rejection(made.dispatch(message))
      expect(error.code).toBe('ROUTING_FAILED')
      expect(error.cause).toBeInstanceOf(RoutingError)
      expect(error.cause).toMatchObject({ failure, hash: hostile.hash })
      expect(error.message).toContain(hostile.hash.slice(0, 16))
      expect(await deliveredTo(made, 'fine')).toBe('a')
    }
    unsubscribe(ROUTING_FAILED, listen)
    expect(failures).toHaveLength(5)
    expect(made.waiting).toBe(0)
  })

  it('may be backed by another one that is asked when it fails', async () => {
    const broken = routingFunction('broken', () => {
      throw new Error('no')
    })
    const made = new ConsumerGroup('work', { routing: broken, fallback: roundRobin() })
    made.join(completing('a'))
    expect(await deliveredTo(made, 1)).toBe('a')
  })

  it('is identified by its source', () => {
    const one = routingFunction('one', () => 'a')
    expect(one.hash).toMatch(/^[0-9a-f]{64}$/)
    expect(routingFunction('other', () => 'a').hash).toBe(one.hash)
    expect(routingFunction('one', () => 'b').hash).not.toBe(one.hash)
    expect(affinity().hash).toBe(affinity().hash)
    expect(affinity().hash).not.toBe(affinity({ field: 'a' }).hash)
    expect(byPredicate([{ when: 'a = 1' }]).hash).not.toBe(byPredicate([{ when: 'a = 2' }]).hash)
    const bound = (() => 'a').bind(null)
    expect(() => routingFunction('bound', bound)).toThrow(/source can be read/)
  })

  it('with the text of another one is still run itself', async () => {
    const make = (id: string): RoutingFunction => routingFunction('by id', () => id)
    const [toA, toB] = [make('a'), make('b')]
    expect(toA.hash).toBe(toB.hash)
    const made = group(toA, completing('a'), completing('b'))
    expect(await deliveredTo(made, 1)).toBe('a')
    await made.deploy(toB)
    expect(await deliveredTo(made, 2)).toBe('b')
  })
})

describe('a deployed routing function', () => {
  it('routes from the next choice on, while the old one finishes what it began', async () => {
    const gate = new Deferred<Choice>()
    const old = routingFunction('old', () => gate.promise)
    const made = group(old, completing('a'), completing('b'))
    const first = made.dispatch(1)
    let isRetired = false
    const retired = made.deploy(routingFunction('new', () => 'b')).then(() => {
      isRetired = true
    })
    expect(made.routing.name).toBe('new')
    expect(await deliveredTo(made, 2)).toBe('b')
    expect(isRetired).toBe(false)
    gate.resolve('a')
    expect((await first).deliveredTo).toBe('a')
    await retired
  })

  it('is asked about those that wait', async () => {
    const made = group(
      routingFunction('nobody', () => null),
      completing('a'),
    )
    const waiting = made.dispatch(1)
    expect(made.waiting).toBe(1)
    await made.deploy(roundRobin())
    expect((await waiting).deliveredTo).toBe('a')
  })

  it('is held while it is current or has calls, and let go of exactly once', async () => {
    const events: string[] = []
    const held = (name: string): RoutingFunction => ({
      ...routingFunction(name, () => null),
      name,
      hold: () => {
        events.push(`hold ${name}`)
        return () => events.push(`release ${name}`)
      },
    })
    const slot = new RoutingSlot(held('one'))
    const [first, second] = [slot.enter(), slot.enter()]
    const retired = slot.deploy(held('two'))
    expect(slot.current.name).toBe('two')
    expect([first.routing.name, slot.versions]).toEqual(['one', 2])
    slot.leave(first)
    expect(events).toEqual(['hold one', 'hold two'])
    slot.leave(second)
    await retired
    expect([events.at(-1), slot.versions]).toEqual(['release one', 1])
    for (let count = 0; count < 100; count++) await slot.deploy(held('again'))
    expect(slot.versions).toBe(1)
    await slot.close()
    expect(events.filter((event) => event.startsWith('hold'))).toHaveLength(102)
    expect(events.filter((event) => event.startsWith('release'))).toHaveLength(102)
  })
})
