import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { EventStore, StoreKey, StoreWrite } from '../../ts/durability/index.ts'
import { allTexts, append, eventsOf, eventsOfSize, meta, stream, textsOf } from './event-store-tools.ts'

/** What every implementation of a store does. `open` makes an empty one. */
export function eventStoreConformance(name: string, open: () => Promise<EventStore>): void {
  describe(`${name} as an event store`, () => {
    let store: EventStore
    const orders = stream('orders')

    beforeEach(async () => {
      store = await open()
    })

    afterEach(async () => {
      await store.close()
    })

    describe('appending and reading', () => {
      it('knows nothing of a stream that nobody has written to', async () => {
        expect(await store.state(orders)).toEqual({
          first: 0n,
          next: 0n,
          bytes: 0,
          firstTimestamp: null,
          lastTimestamp: null,
        })
        expect(await store.read(orders, 0n)).toEqual({ batches: [], next: 0n })
        expect(await store.sequenceAt(orders, 0)).toBe(0n)
      })

      it('returns what was appended, in order and gap-free from 0', async () => {
        const before = Date.now()
        await store.write([append(orders, 0n, 'a', 'bc')])
        await store.write([append(orders, 2n, '', 'd')])
        const page = await store.read(orders, 0n)
        expect(textsOf(page)).toEqual([
          { sequence: 0n, text: 'a' },
          { sequence: 1n, text: 'bc' },
          { sequence: 2n, text: '' },
          { sequence: 3n, text: 'd' },
        ])
        expect(page.next).toBe(4n)
        for (const { timestamp } of page.batches) {
          expect(timestamp).toBeGreaterThanOrEqual(before)
          expect(timestamp).toBeLessThanOrEqual(Date.now())
        }
        const state = await store.state(orders)
        expect(state).toMatchObject({ first: 0n, next: 4n, bytes: 4 })
        expect(state.firstTimestamp).toBe(page.batches[0].timestamp)
        expect(state.lastTimestamp).toBe(page.batches.at(-1)?.timestamp)
      })

      it('reads from the middle of what was appended together', async () => {
        await store.write([append(orders, 0n, 'a', 'b', 'c', 'd')])
        await store.write([append(orders, 4n, 'e', 'f')])
        expect(textsOf(await store.read(orders, 2n)).map(({ text }) => text)).toEqual(['c', 'd', 'e', 'f'])
        expect(textsOf(await store.read(orders, 5n))).toEqual([{ sequence: 5n, text: 'f' }])
        expect(await store.read(orders, 6n)).toEqual({ batches: [], next: 6n })
        expect(await store.read(orders, 1_000n)).toEqual({ batches: [], next: 6n })
      })

      it('bounds a page by events and by bytes, and gives at least one event', async () => {
        for (let at = 0n; at < 30n; at += 3n)
          await store.write([append(orders, at, '0123456789', '0123456789', '01234')])
        const ten = await store.read(orders, 1n, { maxEvents: 10 })
        expect(textsOf(ten).map(({ sequence }) => sequence)).toEqual(
          Array.from({ length: 10 }, (_, at) => BigInt(at + 1)),
        )
        expect(ten.next).toBe(11n)
        const few = await store.read(orders, 0n, { maxBytes: 50 })
        expect(textsOf(few)).toHaveLength(6)
        expect((await store.read(orders, 0n, { maxBytes: 49 })).next).toBe(5n)
        const one = await store.read(orders, 0n, { maxBytes: 1 })
        expect(textsOf(one)).toEqual([{ sequence: 0n, text: '0123456789' }])
        expect(await allTexts(store, orders)).toHaveLength(30)
      })

      it('bounds a page by 1,024 events and a mebibyte unless told otherwise', async () => {
        await store.write([{ type: 'append', stream: orders, expected: 0n, events: eventsOfSize(1_500, 1) }])
        expect((await store.read(orders, 0n)).next).toBe(1_024n)
        await store.write([{ type: 'append', stream: stream('big'), expected: 0n, events: eventsOfSize(8, 300_000) }])
        expect((await store.read(stream('big'), 0n)).next).toBe(3n)
      })

      it('keeps a huge event beside an empty one', async () => {
        const bytes = new Uint8Array(20 * 1024 * 1024).map((_, at) => (at * 31) >>> 3)
        await store.write([
          { type: 'append', stream: orders, expected: 0n, events: { bytes, ends: Uint32Array.of(0, bytes.length) } },
        ])
        const { batches } = await store.read(orders, 0n, { maxBytes: 1 })
        expect(batches[0].ends).toEqual(Uint32Array.of(0))
        const [huge] = (await store.read(orders, 1n)).batches
        expect(Buffer.compare(huge.bytes, bytes)).toBe(0)
        expect(await store.state(orders)).toMatchObject({ bytes: bytes.length, next: 2n })
      })

      it('gives the reader bytes of its own, and keeps its own of the writer', async () => {
        const events = eventsOf('before')
        const writing = store.write([{ type: 'append', stream: orders, expected: 0n, events }])
        events.bytes.fill(0)
        events.ends.fill(0)
        await writing
        const [batch] = (await store.read(orders, 0n)).batches
        expect(Buffer.from(batch.bytes).toString()).toBe('before')
        batch.bytes.fill(0)
        expect(await allTexts(store, orders)).toEqual(['before'])
      })
    })

    describe('expectations', () => {
      it('refuses an append behind another sequence than the next, and says which', async () => {
        await store.write([append(orders, 0n, 'a')])
        await expect(store.write([append(orders, 0n, 'b')])).rejects.toMatchObject({
          code: 'SEQUENCE_CONFLICT',
          message: expect.stringMatching(/channel 'orders'.*next sequence is 1.*0 was expected/),
        })
        await expect(store.write([append(orders, 2n, 'b')])).rejects.toMatchObject({ code: 'SEQUENCE_CONFLICT' })
        expect(await allTexts(store, orders)).toEqual(['a'])
      })

      it('lets exactly one of many win who expect the same', async () => {
        const writers = Array.from({ length: 20 }, (_, at) => store.write([append(orders, 0n, `writer ${at}`)]))
        const outcomes = await Promise.allSettled(writers)
        expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
        for (const outcome of outcomes) {
          if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'SEQUENCE_CONFLICT' })
        }
        expect(await allTexts(store, orders)).toHaveLength(1)
      })

      it('makes all changes of a write or none', async () => {
        await store.write([{ type: 'set', key: meta('kept'), value: Buffer.from('old') }, append(orders, 0n, 'first')])
        const changes: StoreWrite[] = [
          append(orders, 1n, 'second'),
          append(stream('new'), 0n, 'x'),
          { type: 'truncate', stream: orders, before: 1n },
          { type: 'set', key: meta('kept'), value: null },
          { type: 'compareAndSet', key: meta('count'), expected: null, value: 1n },
          { type: 'remove', stream: orders },
          append(stream('other'), 7n, 'never'),
        ]
        await expect(store.write(changes)).rejects.toMatchObject({ code: 'SEQUENCE_CONFLICT' })
        expect(await allTexts(store, orders)).toEqual(['first'])
        expect(await store.state(stream('new'))).toMatchObject({ next: 0n })
        expect(await store.state(orders)).toMatchObject({ first: 0n, next: 1n, bytes: 5 })
        expect(await store.get(meta('kept'))).toEqual(new Uint8Array(Buffer.from('old')))
        expect(await store.number(meta('count'))).toBeNull()
        expect((await store.keys('channel', [])).keys).toEqual([orders])
      })

      it('does not let one failed write spoil those that share its commit', async () => {
        const outcomes = await Promise.allSettled([
          store.write([append(orders, 0n, 'a')]),
          store.write([append(orders, 5n, 'never')]),
          store.write([append(orders, 1n, 'b')]),
          store.write([{ type: 'compareAndSet', key: meta('n'), expected: 3n, value: 4n }]),
          store.write([append(orders, 2n, 'c'), append(orders, 3n, 'd')]),
        ])
        expect(outcomes.map(({ status }) => status)).toEqual([
          'fulfilled',
          'rejected',
          'fulfilled',
          'rejected',
          'fulfilled',
        ])
        expect(await allTexts(store, orders)).toEqual(['a', 'b', 'c', 'd'])
      })

      it('carries writes out in the order of the calls', async () => {
        const writes: Promise<void>[] = []
        for (let at = 0; at < 200; at++) writes.push(store.write([append(orders, BigInt(at), `${at}`)]))
        await Promise.all(writes)
        expect(await allTexts(store, orders)).toEqual(Array.from({ length: 200 }, (_, at) => `${at}`))
      })

      it('shows a write to whoever asks after it was acknowledged', async () => {
        for (let at = 0n; at < 50n; at++) {
          await store.write([append(orders, at, `${at}`)])
          expect((await store.state(orders)).next).toBe(at + 1n)
          expect(textsOf(await store.read(orders, at))).toEqual([{ sequence: at, text: `${at}` }])
        }
      })

      it('takes a write without changes as done', async () => {
        await expect(store.write([])).resolves.toBeUndefined()
      })
    })

    describe('truncating and removing', () => {
      beforeEach(async () => {
        await store.write([append(orders, 0n, 'a', 'bb', 'ccc')])
        await store.write([append(orders, 3n, 'dddd', 'eeeee')])
      })

      it('removes the events before a sequence, between appends and within one', async () => {
        await store.write([{ type: 'truncate', stream: orders, before: 3n }])
        expect(await store.state(orders)).toMatchObject({ first: 3n, next: 5n, bytes: 9 })
        expect(textsOf(await store.read(orders, 0n))[0]).toEqual({ sequence: 3n, text: 'dddd' })
        await store.write([{ type: 'truncate', stream: orders, before: 4n }])
        expect(await store.state(orders)).toMatchObject({ first: 4n, next: 5n, bytes: 5 })
        expect(textsOf(await store.read(orders, 0n))).toEqual([{ sequence: 4n, text: 'eeeee' }])
      })

      it('does not bring back what was removed', async () => {
        await store.write([{ type: 'truncate', stream: orders, before: 2n }])
        await store.write([{ type: 'truncate', stream: orders, before: 1n }])
        expect(await store.state(orders)).toMatchObject({ first: 2n, next: 5n, bytes: 12 })
        expect(await allTexts(store, orders, 2n)).toEqual(['ccc', 'dddd', 'eeeee'])
      })

      it('goes on counting behind a stream whose events are all gone', async () => {
        await store.write([{ type: 'truncate', stream: orders, before: 999n }])
        expect(await store.state(orders)).toEqual({
          first: 5n,
          next: 5n,
          bytes: 0,
          firstTimestamp: null,
          lastTimestamp: null,
        })
        expect(await store.read(orders, 0n)).toEqual({ batches: [], next: 5n })
        expect(await store.sequenceAt(orders, 0)).toBe(5n)
        await expect(store.write([append(orders, 0n, 'x')])).rejects.toMatchObject({ code: 'SEQUENCE_CONFLICT' })
        await store.write([append(orders, 5n, 'f')])
        expect(await store.state(orders)).toMatchObject({ first: 5n, next: 6n, bytes: 1 })
        expect(await allTexts(store, orders, 5n)).toEqual(['f'])
      })

      it('forgets a removed stream and its sequence', async () => {
        await store.write([{ type: 'remove', stream: orders }])
        expect(await store.state(orders)).toMatchObject({ first: 0n, next: 0n })
        expect((await store.keys('channel', [])).keys).toEqual([])
        await store.write([append(orders, 0n, 'new')])
        expect(await allTexts(store, orders)).toEqual(['new'])
      })

      it('leaves the streams beside it alone', async () => {
        const neighbours = [stream('order'), stream('orders', ''), stream('orders', 'x'), stream('orderss')]
        await store.write(neighbours.map((name) => append(name, 0n, 'here')))
        await store.write([{ type: 'remove', stream: orders }])
        for (const name of neighbours) expect(await allTexts(store, name)).toEqual(['here'])
        await store.write([{ type: 'truncate', stream: stream('orders', ''), before: 1n }])
        for (const name of [neighbours[0], neighbours[2], neighbours[3]]) {
          expect(await allTexts(store, name)).toEqual(['here'])
        }
      })

      it('truncates and appends in one write', async () => {
        await store.write([
          append(orders, 5n, 'f', 'g'),
          { type: 'truncate', stream: orders, before: 6n },
          append(orders, 7n, 'h'),
        ])
        expect(await store.state(orders)).toMatchObject({ first: 6n, next: 8n, bytes: 2 })
        expect(await allTexts(store, orders, 6n)).toEqual(['g', 'h'])
      })

      it('removes and begins anew in one write', async () => {
        await store.write([{ type: 'remove', stream: orders }, append(orders, 0n, 'new')])
        expect(await allTexts(store, orders)).toEqual(['new'])
        expect(await store.state(orders)).toMatchObject({ first: 0n, next: 1n, bytes: 3 })
      })

      it('takes what is not there as removed already', async () => {
        await store.write([
          { type: 'remove', stream: stream('nobody') },
          { type: 'truncate', stream: stream('nobody'), before: 3n },
        ])
        expect(await store.state(stream('nobody'))).toMatchObject({ first: 0n, next: 0n })
        expect((await store.keys('channel', [])).keys).toEqual([orders])
      })
    })

    describe('time', () => {
      afterEach(() => {
        vi.useRealTimers()
      })

      async function appendAt(time: number, expected: bigint, ...texts: string[]): Promise<void> {
        vi.useFakeTimers({ toFake: ['Date'], now: time })
        await store.write([append(orders, expected, ...texts)])
      }

      it('finds the first event that is not older', async () => {
        await appendAt(1_000, 0n, 'a', 'b')
        await appendAt(2_000, 2n, 'c')
        await appendAt(2_000, 3n, 'd')
        await appendAt(4_000, 4n, 'e', 'f')
        const found = await Promise.all(
          [-1, 0, 1_000, 1_001, 2_000, 2_001, 4_000, 4_001].map((time) => store.sequenceAt(orders, time)),
        )
        expect(found).toEqual([0n, 0n, 0n, 2n, 2n, 4n, 4n, 6n])
        await store.write([{ type: 'truncate', stream: orders, before: 5n }])
        expect(await store.sequenceAt(orders, 0)).toBe(5n)
        expect(await store.sequenceAt(orders, 4_000)).toBe(5n)
        expect(await store.sequenceAt(orders, 4_001)).toBe(6n)
      })

      it('finds it among many', async () => {
        for (let at = 0; at < 100; at++) await appendAt(1_000 + at * 10, BigInt(at * 3), 'a', 'b', 'c')
        for (const at of [0, 1, 37, 64, 98, 99]) {
          expect(await store.sequenceAt(orders, 1_000 + at * 10)).toBe(BigInt(at * 3))
          expect(await store.sequenceAt(orders, 1_001 + at * 10)).toBe(BigInt(at * 3 + 3))
        }
      })

      it('never goes back, even if the clock does', async () => {
        await appendAt(50_000, 0n, 'a')
        await appendAt(10_000, 1n, 'b')
        await appendAt(60_000, 2n, 'c')
        const { batches } = await store.read(orders, 0n)
        expect(batches.map(({ timestamp }) => timestamp)).toEqual([50_000, 50_000, 60_000])
        expect(await store.state(orders)).toMatchObject({ firstTimestamp: 50_000, lastTimestamp: 60_000 })
        expect(await store.sequenceAt(orders, 50_001)).toBe(2n)
      })

      it('does not go back behind events that are gone either', async () => {
        await appendAt(50_000, 0n, 'a')
        await store.write([{ type: 'truncate', stream: orders, before: 1n }])
        await appendAt(10_000, 1n, 'b')
        expect(await store.state(orders)).toMatchObject({ firstTimestamp: 50_000, lastTimestamp: 50_000 })
      })
    })

    describe('values and numbers', () => {
      const key = meta('value')

      it('keeps a value until it is replaced or removed', async () => {
        expect(await store.get(key)).toBeNull()
        await store.write([{ type: 'set', key, value: Uint8Array.of(1, 2) }])
        expect(await store.get(key)).toEqual(Uint8Array.of(1, 2))
        await store.write([{ type: 'set', key, value: new Uint8Array(0) }])
        expect(await store.get(key)).toEqual(new Uint8Array(0))
        await store.write([{ type: 'set', key, value: null }])
        expect(await store.get(key)).toBeNull()
        await store.write([{ type: 'set', key, value: null }])
      })

      it('keeps a value of 64 KiB, and refuses one that is larger', async () => {
        const value = new Uint8Array(65_536).fill(7)
        await store.write([{ type: 'set', key, value }])
        expect(Buffer.compare((await store.get(key)) ?? Buffer.alloc(0), value)).toBe(0)
        await expect(store.write([{ type: 'set', key, value: new Uint8Array(65_537) }])).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
        })
      })

      it('sets a number only if it is as expected; none is not 0', async () => {
        const set = (expected: bigint | null, value: bigint) =>
          store.write([{ type: 'compareAndSet', key, expected, value }])
        await expect(set(0n, 1n)).rejects.toMatchObject({
          code: 'SEQUENCE_CONFLICT',
          message: expect.stringContaining('none'),
        })
        await set(null, 0n)
        expect(await store.number(key)).toBe(0n)
        await expect(set(null, 1n)).rejects.toMatchObject({ code: 'SEQUENCE_CONFLICT' })
        await set(0n, 0xffff_ffff_ffff_ffffn)
        expect(await store.number(key)).toBe(0xffff_ffff_ffff_ffffn)
        await expect(set(5n, 6n)).rejects.toMatchObject({
          code: 'SEQUENCE_CONFLICT',
          message: expect.stringContaining('18446744073709551615'),
        })
      })

      it('lets one of many move a number', async () => {
        const outcomes = await Promise.allSettled(
          [1n, 2n, 3n].map((value) => store.write([{ type: 'compareAndSet', key, expected: null, value }])),
        )
        expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected'])
        expect(await store.number(key)).toBe(1n)
      })

      it('takes a key for one value: bytes or a number', async () => {
        await store.write([{ type: 'compareAndSet', key, expected: null, value: 3n }])
        expect(await store.get(key)).toBeNull()
        await store.write([{ type: 'set', key, value: Uint8Array.of(9) }])
        expect(await store.number(key)).toBeNull()
        await expect(store.write([{ type: 'compareAndSet', key, expected: null, value: 3n }])).rejects.toMatchObject({
          code: 'SEQUENCE_CONFLICT',
        })
        await store.write([
          { type: 'set', key, value: null },
          { type: 'compareAndSet', key, expected: null, value: 4n },
        ])
        expect(await store.number(key)).toBe(4n)
      })

      it('changes a value with the events that belong to it', async () => {
        await store.write([append(orders, 0n, 'a'), { type: 'set', key, value: Uint8Array.of(1) }])
        expect(await allTexts(store, orders)).toEqual(['a'])
        expect(await store.get(key)).toEqual(Uint8Array.of(1))
      })
    })

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
        await store.write(names.map((name, at) => append(name, 0n, `${at}`)))
        for (const [at, name] of names.entries()) expect(await allTexts(store, name)).toEqual([`${at}`])
        const found = (await store.keys('channel', [])).keys
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
        await store.write(writes.reverse())
        expect((await store.keys('channel', [])).keys.map(({ parts }) => parts)).toEqual(sorted)
      })

      it('finds those that begin with whole parts, and no others', async () => {
        const names = [['a'], ['a', 'x'], ['a', 'x', 'y'], ['ab', 'x'], ['a', 'xx']]
        await store.write(names.map((parts) => append(stream(...parts), 0n, 'x')))
        await store.write([append({ kind: 'cursor', parts: ['a'] }, 0n, 'x')])
        expect((await store.keys('channel', ['a'])).keys.map(({ parts }) => parts)).toEqual([
          ['a'],
          ['a', 'x'],
          ['a', 'x', 'y'],
          ['a', 'xx'],
        ])
        expect((await store.keys('channel', ['a', 'x'])).keys).toEqual([stream('a', 'x'), stream('a', 'x', 'y')])
        expect((await store.keys('channel', ['b'])).keys).toEqual([])
        expect((await store.keys('cursor', [])).keys).toEqual([{ kind: 'cursor', parts: ['a'] }])
      })

      it('lists them page by page, each once', async () => {
        const names = Array.from({ length: 25 }, (_, at) => stream('n', `${100 + at}`))
        await store.write(names.map((name) => append(name, 0n, 'x')))
        await store.write(names.map((key) => ({ type: 'set', key, value: Uint8Array.of(1) })))
        const found: StoreKey[] = []
        let after: StoreKey | undefined
        const sizes: number[] = []
        do {
          const page = await store.keys('channel', ['n'], { limit: 10, ...(after === undefined ? {} : { after }) })
          found.push(...page.keys)
          sizes.push(page.keys.length)
          after = page.after ?? undefined
        } while (after !== undefined)
        expect(found).toEqual(names)
        expect(sizes).toEqual([10, 10, 5])
      })

      it('goes on behind a key that is gone', async () => {
        await store.write(['a', 'b', 'c'].map((part) => append(stream(part), 0n, 'x')))
        await store.write([{ type: 'remove', stream: stream('b') }])
        expect((await store.keys('channel', [], { after: stream('b') })).keys).toEqual([stream('c')])
      })

      it('holds ten thousand streams', async () => {
        const names = Array.from({ length: 10_000 }, (_, at) => stream('many', String(at).padStart(5, '0')))
        const writes = names.map((name) => store.write([append(name, 0n, name.parts[1])]))
        await Promise.all(writes)
        expect(store.stats().streams).toBe(10_000)
        let page = await store.keys('channel', ['many'])
        let count = page.keys.length
        while (page.after !== null) {
          page = await store.keys('channel', ['many'], { after: page.after })
          count += page.keys.length
        }
        expect(count).toBe(10_000)
        expect(await allTexts(store, names[7_777])).toEqual(['07777'])
        expect(await store.state(names[9_999])).toMatchObject({ next: 1n, bytes: 5 })
      })
    })

    describe('watching', () => {
      it('tells of every commit in order, from when on it is watched until it is not', async () => {
        await store.write([append(orders, 0n, 'before')])
        const heard: bigint[] = []
        const stop = store.watch(orders, (next) => heard.push(next))
        const writes: Promise<void>[] = []
        for (let at = 1n; at < 100n; at++) {
          writes.push(store.write([append(orders, at, 'x'), append(stream('other'), at - 1n, 'y')]))
          if (at % 10n === 0n) await writes.at(-1)
        }
        await Promise.all(writes)
        expect(heard.at(-1)).toBe(100n)
        expect(heard).toEqual([...heard].sort((one, other) => Number(one - other)))
        expect(new Set(heard).size).toBe(heard.length)
        const count = heard.length
        stop()
        stop()
        await store.write([append(orders, 100n, 'x')])
        expect(heard).toHaveLength(count)
      })

      it('has what it tells of', async () => {
        const seen = new Promise<string[]>((resolve) => {
          store.watch(orders, (next) => resolve(allTexts(store, orders, next - 1n)))
        })
        await store.write([append(orders, 0n, 'a', 'b')])
        expect(await seen).toEqual(['b'])
      })

      it('says nothing of writes that fail or that append nothing', async () => {
        const heard: bigint[] = []
        store.watch(orders, (next) => heard.push(next))
        await expect(store.write([append(orders, 3n, 'x')])).rejects.toThrow()
        await store.write([{ type: 'truncate', stream: orders, before: 1n }])
        await store.write([{ type: 'set', key: orders, value: Uint8Array.of(1) }])
        expect(heard).toEqual([])
      })

      it('tells each of several listeners, the same one twice as well', async () => {
        const heard: string[] = []
        const both = (next: bigint): void => void heard.push(`both ${next}`)
        store.watch(orders, both)
        const stop = store.watch(orders, both)
        store.watch(orders, (next) => heard.push(`other ${next}`))
        await store.write([append(orders, 0n, 'x')])
        stop()
        await store.write([append(orders, 1n, 'x')])
        expect(heard).toEqual(['both 1', 'both 1', 'other 1', 'both 2', 'other 2'])
      })
    })

    describe('arguments', () => {
      const bad: [string, () => unknown][] = [
        ['no changes', () => Reflect.apply(store.write, store, [undefined])],
        ['an unknown change', () => Reflect.apply(store.write, store, [[{ type: 'append all' }]])],
        ['no parts', () => store.state(stream())],
        ['five parts', () => store.state(stream('a', 'b', 'c', 'd', 'e'))],
        ['parts that are too long', () => store.state(stream('x'.repeat(1_000), 'ä'.repeat(13)))],
        ['a lone surrogate', () => store.state(stream('\ud800'))],
        ['an unknown kind', () => Reflect.apply(store.state, store, [{ kind: 'orders', parts: ['a'] }])],
        ['no key', () => Reflect.apply(store.get, store, ['orders'])],
        ['a sequence that is no bigint', () => Reflect.apply(store.read, store, [orders, 0])],
        ['a negative sequence', () => store.read(orders, -1n)],
        ['a page of nothing', () => store.read(orders, 0n, { maxEvents: 0 })],
        ['an unknown limit', () => Reflect.apply(store.read, store, [orders, 0n, { maxEvent: 1 }])],
        ['no time', () => store.sequenceAt(orders, Number.NaN)],
        [
          'no events',
          () =>
            store.write([
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
            store.write([
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
            store.write([
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
          () => store.write([{ type: 'compareAndSet', key: orders, expected: null, value: 2n ** 64n }]),
        ],
        ['a listener that is none', () => Reflect.apply(store.watch, store, [orders, null])],
        ['a limit of no keys', () => store.keys('channel', [], { limit: 0 })],
      ]

      it.each(bad)('refuses %s before anything changes', async (_, call) => {
        const failing = (async () => call())()
        await expect(failing).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
        expect((await store.keys('channel', [])).keys).toEqual([])
      })

      it('refuses a write with one bad change as a whole', async () => {
        const changes: StoreWrite[] = [append(orders, 0n, 'a'), append(stream(), 0n, 'b')]
        await expect(store.write(changes)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
        expect(await store.state(orders)).toMatchObject({ next: 0n })
      })

      it('takes a key of four parts and 1,024 bytes', async () => {
        const longest = stream('\u0000'.repeat(256), 'ä'.repeat(128), '\u{10ffff}'.repeat(64), 'x'.repeat(256))
        await store.write([append(longest, 0n, 'a'), { type: 'set', key: longest, value: Uint8Array.of(1) }])
        expect(await allTexts(store, longest)).toEqual(['a'])
        expect((await store.keys('channel', [])).keys).toEqual([longest])
      })
    })

    describe('its life', () => {
      it('counts commits and the writes in them', async () => {
        await store.write([append(orders, 0n, 'a')])
        await store.flush()
        const { commits, writes, streams, bytes, pendingBytes } = store.stats()
        expect({ writes, streams, pendingBytes }).toEqual({ writes: 1, streams: 1, pendingBytes: 0 })
        expect(commits).toBeGreaterThanOrEqual(1)
        expect(bytes).toBeGreaterThan(0)
        expect(store.hold()).toBeNull()
      })

      it('commits what waits when it is closed, and does nothing afterwards', async () => {
        const writing = store.write([append(orders, 0n, 'a')])
        await Promise.all([store.close(), store.close()])
        await expect(writing).resolves.toBeUndefined()
        await store.close()
        const calls: (() => unknown)[] = [
          () => store.write([]),
          () => store.state(orders),
          () => store.read(orders, 0n),
          () => store.sequenceAt(orders, 0),
          () => store.get(orders),
          () => store.number(orders),
          () => store.keys('channel', []),
          () => store.watch(orders, () => {}),
          () => store.hold(),
          () => store.flush(),
          () => store.stats(),
        ]
        for (const call of calls) {
          await expect((async () => call())()).rejects.toMatchObject({ code: 'CLOSED' })
        }
      })

      it('is disposed of by leaving its scope', async () => {
        {
          await using scoped = await open()
          await scoped.write([append(orders, 0n, 'a')])
          store = scoped
        }
        await expect(store.state(orders)).rejects.toMatchObject({ code: 'CLOSED' })
      })
    })
  })
}
