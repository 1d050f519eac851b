import { describe, expect, it } from 'vitest'
import type { EventStore, StoreKey, StoreWrite } from '../../ts/durability/index.ts'
import { allTexts, append, stream } from './event-store-tools.ts'

/** Keys, watching, and what is refused. `store`: the one of the test at hand, empty at first. */
export function keysSuite(store: () => EventStore): void {
  const orders = stream('orders')

  describe('keys', () => {
    it('takes no two names for the same', async () => {
      const names: StoreKey[] = [
        stream('a:b', 'c'),
        stream('a', 'b:c'),
        stream('a', 'b', 'c'),
        stream('a\u0000b', 'c'),
        stream('a', '\u0000b', 'c'),
        stream('a', ''),
        stream('', 'a'),
        stream('a'),
        stream(''),
        stream('', ''),
        stream('\u0004'),
        { kind: 'conversation', parts: ['a'] },
        stream('€', '\u{10ffff}'),
        stream('constructor'),
        stream('__proto__'),
      ]
      await store().write(names.map((name, at) => append(name, 0n, `${at}`)))
      for (const [at, name] of names.entries()) expect(await allTexts(store(), name)).toEqual([`${at}`])
      const found = (await store().keys('channel', [])).keys
      expect(found).toHaveLength(names.length - 1)
      for (const name of names.slice(0, 11)) expect(found).toContainEqual(name)
    })

    it('lists them in the order of their parts as UTF-8 bytes, streams and values together', async () => {
      const sorted = [
        [''],
        ['', ''],
        ['a'],
        ['a', ''],
        ['a', 'b'],
        ['a\u0000'],
        ['aa'],
        ['b'],
        ['ä'],
        ['\ufb00'],
        ['\u{1f600}'],
      ]
      const writes = sorted.map(
        (parts, at): StoreWrite =>
          at % 2 === 0
            ? append(stream(...parts), 0n, 'x')
            : { type: 'set', key: stream(...parts), value: Uint8Array.of(1) },
      )
      await store().write(writes.reverse())
      expect((await store().keys('channel', [])).keys.map(({ parts }) => parts)).toEqual(sorted)
    })

    it('finds those that begin with whole parts, and no others', async () => {
      const names = [['a'], ['a', 'x'], ['a', 'x', 'y'], ['ab', 'x'], ['a', 'xx']]
      await store().write(names.map((parts) => append(stream(...parts), 0n, 'x')))
      await store().write([append({ kind: 'cursor', parts: ['a'] }, 0n, 'x')])
      expect((await store().keys('channel', ['a'])).keys.map(({ parts }) => parts)).toEqual([
        ['a'],
        ['a', 'x'],
        ['a', 'x', 'y'],
        ['a', 'xx'],
      ])
      expect((await store().keys('channel', ['a', 'x'])).keys).toEqual([stream('a', 'x'), stream('a', 'x', 'y')])
      expect((await store().keys('channel', ['b'])).keys).toEqual([])
      expect((await store().keys('cursor', [])).keys).toEqual([{ kind: 'cursor', parts: ['a'] }])
    })

    it('lists them page by page, each once', async () => {
      const names = Array.from({ length: 25 }, (_, at) => stream('n', `${100 + at}`))
      await store().write(names.map((name) => append(name, 0n, 'x')))
      await store().write(names.map((key) => ({ type: 'set', key, value: Uint8Array.of(1) })))
      const found: StoreKey[] = []
      let after: StoreKey | undefined
      const sizes: number[] = []
      do {
        const page = await store().keys('channel', ['n'], { limit: 10, ...(after === undefined ? {} : { after }) })
        found.push(...page.keys)
        sizes.push(page.keys.length)
        after = page.after ?? undefined
      } while (after !== undefined)
      expect(found).toEqual(names)
      expect(sizes).toEqual([10, 10, 5])
    })

    it('goes on behind a key that is gone', async () => {
      await store().write(['a', 'b', 'c'].map((part) => append(stream(part), 0n, 'x')))
      await store().write([{ type: 'remove', stream: stream('b') }])
      expect((await store().keys('channel', [], { after: stream('b') })).keys).toEqual([stream('c')])
    })

    it('holds ten thousand streams', async () => {
      const names = Array.from({ length: 10_000 }, (_, at) => stream('many', String(at).padStart(5, '0')))
      const writes = names.map((name) => store().write([append(name, 0n, name.parts[1])]))
      await Promise.all(writes)
      expect(store().stats().streams).toBe(10_000)
      let page = await store().keys('channel', ['many'])
      let count = page.keys.length
      while (page.after !== null) {
        page = await store().keys('channel', ['many'], { after: page.after })
        count += page.keys.length
      }
      expect(count).toBe(10_000)
      expect(await allTexts(store(), names[7_777])).toEqual(['07777'])
      expect(await store().state(names[9_999])).toMatchObject({ next: 1n, bytes: 5 })
    })
  })

  describe('watching', () => {
    it('tells of every commit in order, from when on it is watched until it is not', async () => {
      await store().write([append(orders, 0n, 'before')])
      const heard: bigint[] = []
      const stop = store().watch(orders, (next) => heard.push(next))
      const writes: Promise<void>[] = []
      for (let at = 1n; at < 100n; at++) {
        writes.push(store().write([append(orders, at, 'x'), append(stream('other'), at - 1n, 'y')]))
        if (at % 10n === 0n) await writes.at(-1)
      }
      await Promise.all(writes)
      expect(heard.at(-1)).toBe(100n)
      expect(heard).toEqual([...heard].sort((one, other) => Number(one - other)))
      expect(new Set(heard).size).toBe(heard.length)
      const count = heard.length
      stop()
      stop()
      await store().write([append(orders, 100n, 'x')])
      expect(heard).toHaveLength(count)
    })

    it('has what it tells of', async () => {
      const seen = new Promise<string[]>((resolve) => {
        store().watch(orders, (next) => resolve(allTexts(store(), orders, next - 1n)))
      })
      await store().write([append(orders, 0n, 'a', 'b')])
      expect(await seen).toEqual(['b'])
    })

    it('says nothing of writes that fail or that append nothing', async () => {
      const heard: bigint[] = []
      store().watch(orders, (next) => heard.push(next))
      await expect(store().write([append(orders, 3n, 'x')])).rejects.toThrow()
      await store().write([{ type: 'truncate', stream: orders, before: 1n }])
      await store().write([{ type: 'set', key: orders, value: Uint8Array.of(1) }])
      expect(heard).toEqual([])
    })

    it('tells each of several listeners, the same one twice as well', async () => {
      const heard: string[] = []
      const both = (next: bigint): void => void heard.push(`both ${next}`)
      store().watch(orders, both)
      const stop = store().watch(orders, both)
      store().watch(orders, (next) => heard.push(`other ${next}`))
      await store().write([append(orders, 0n, 'x')])
      stop()
      await store().write([append(orders, 1n, 'x')])
      expect(heard).toEqual(['both 1', 'both 1', 'other 1', 'both 2', 'other 2'])
    })
  })

  describe('arguments', () => {
    const bad: [string, () => unknown][] = [
      ['no changes', () => Reflect.apply(store().write, store(), [undefined])],
      ['an unknown change', () => Reflect.apply(store().write, store(), [[{ type: 'append all' }]])],
      ['no parts', () => store().state(stream())],
      ['five parts', () => store().state(stream('a', 'b', 'c', 'd', 'e'))],
      ['parts that are too long', () => store().state(stream('x'.repeat(1_000), 'ä'.repeat(13)))],
      ['a lone surrogate', () => store().state(stream('\ud800'))],
      ['an unknown kind', () => Reflect.apply(store().state, store(), [{ kind: 'orders', parts: ['a'] }])],
      ['no key', () => Reflect.apply(store().get, store(), ['orders'])],
      ['a sequence that is no bigint', () => Reflect.apply(store().read, store(), [orders, 0])],
      ['a negative sequence', () => store().read(orders, -1n)],
      ['a page of nothing', () => store().read(orders, 0n, { maxEvents: 0 })],
      ['an unknown limit', () => Reflect.apply(store().read, store(), [orders, 0n, { maxEvent: 1 }])],
      ['no time', () => store().sequenceAt(orders, Number.NaN)],
      [
        'no events',
        () =>
          store().write([
            {
              type: 'append',
              stream: orders,
              expected: 0n,
              events: { bytes: new Uint8Array(0), ends: new Uint32Array(0) },
            },
          ]),
      ],
      [
        'ends that do not fit the bytes',
        () =>
          store().write([
            {
              type: 'append',
              stream: orders,
              expected: 0n,
              events: { bytes: new Uint8Array(3), ends: Uint32Array.of(2) },
            },
          ]),
      ],
      [
        'ends that go back',
        () =>
          store().write([
            {
              type: 'append',
              stream: orders,
              expected: 0n,
              events: { bytes: new Uint8Array(3), ends: Uint32Array.of(2, 1, 3) },
            },
          ]),
      ],
      [
        'a number above 64 bits',
        () => store().write([{ type: 'compareAndSet', key: orders, expected: null, value: 2n ** 64n }]),
      ],
      ['a listener that is none', () => Reflect.apply(store().watch, store(), [orders, null])],
      ['a limit of no keys', () => store().keys('channel', [], { limit: 0 })],
    ]

    it.each(bad)('refuses %s before anything changes', async (_, call) => {
      const failing = (async () => call())()
      await expect(failing).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      expect((await store().keys('channel', [])).keys).toEqual([])
    })

    it('refuses a write with one bad change as a whole', async () => {
      const changes: StoreWrite[] = [append(orders, 0n, 'a'), append(stream(), 0n, 'b')]
      await expect(store().write(changes)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      expect(await store().state(orders)).toMatchObject({ next: 0n })
    })

    it('takes a key of four parts and 1,024 bytes', async () => {
      const longest = stream('\u0000'.repeat(256), 'ä'.repeat(128), '\u{10ffff}'.repeat(64), 'x'.repeat(256))
      await store().write([append(longest, 0n, 'a'), { type: 'set', key: longest, value: Uint8Array.of(1) }])
      expect(await allTexts(store(), longest)).toEqual(['a'])
      expect((await store().keys('channel', [])).keys).toEqual([longest])
    })
  })
}
