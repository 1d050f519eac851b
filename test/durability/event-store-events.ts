import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { EventStore } from '../../ts/durability/index.ts'
import { allTexts, append, eventsOf, eventsOfSize, stream, textsOf } from './event-store-tools.ts'

/** Appending, reading, truncating, and the time of events. `store`: the one of the test at hand, empty at first. */
export function eventsSuite(store: () => EventStore): void {
  const orders = stream('orders')

  describe('appending and reading', () => {
    it('knows nothing of a stream that nobody has written to', async () => {
      expect(await store().state(orders)).toEqual({
        first: 0n,
        next: 0n,
        bytes: 0,
        firstTimestamp: null,
        lastTimestamp: null,
      })
      expect(await store().read(orders, 0n)).toEqual({ batches: [], next: 0n })
      expect(await store().sequenceAt(orders, 0)).toBe(0n)
    })

    it('returns what was appended, in order and gap-free from 0', async () => {
      const before = Date.now()
      await store().write([append(orders, 0n, 'a', 'bc')])
      await store().write([append(orders, 2n, '', 'd')])
      const page = await store().read(orders, 0n)
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
      const state = await store().state(orders)
      expect(state).toMatchObject({ first: 0n, next: 4n, bytes: 4 })
      expect(state.firstTimestamp).toBe(page.batches[0].timestamp)
      expect(state.lastTimestamp).toBe(page.batches.at(-1)?.timestamp)
    })

    it('reads from the middle of what was appended together', async () => {
      await store().write([append(orders, 0n, 'a', 'b', 'c', 'd')])
      await store().write([append(orders, 4n, 'e', 'f')])
      expect(textsOf(await store().read(orders, 2n)).map(({ text }) => text)).toEqual(['c', 'd', 'e', 'f'])
      expect(textsOf(await store().read(orders, 5n))).toEqual([{ sequence: 5n, text: 'f' }])
      expect(await store().read(orders, 6n)).toEqual({ batches: [], next: 6n })
      expect(await store().read(orders, 1_000n)).toEqual({ batches: [], next: 6n })
    })

    it('bounds a page by events and by bytes, and gives at least one event', async () => {
      for (let at = 0n; at < 30n; at += 3n)
        await store().write([append(orders, at, '0123456789', '0123456789', '01234')])
      const ten = await store().read(orders, 1n, { maxEvents: 10 })
      expect(textsOf(ten).map(({ sequence }) => sequence)).toEqual(
        Array.from({ length: 10 }, (_, at) => BigInt(at + 1)),
      )
      expect(ten.next).toBe(11n)
      const few = await store().read(orders, 0n, { maxBytes: 50 })
      expect(textsOf(few)).toHaveLength(6)
      expect((await store().read(orders, 0n, { maxBytes: 49 })).next).toBe(5n)
      const one = await store().read(orders, 0n, { maxBytes: 1 })
      expect(textsOf(one)).toEqual([{ sequence: 0n, text: '0123456789' }])
      expect(await allTexts(store(), orders)).toHaveLength(30)
    })

    it('bounds a page by 1,024 events and a mebibyte unless told otherwise', async () => {
      await store().write([{ type: 'append', stream: orders, expected: 0n, events: eventsOfSize(1_500, 1) }])
      expect((await store().read(orders, 0n)).next).toBe(1_024n)
      await store().write([{ type: 'append', stream: stream('big'), expected: 0n, events: eventsOfSize(8, 300_000) }])
      expect((await store().read(stream('big'), 0n)).next).toBe(3n)
    })

    it('keeps a huge event beside an empty one', async () => {
      const bytes = new Uint8Array(20 * 1024 * 1024).map((_, at) => (at * 31) >>> 3)
      await store().write([
        { type: 'append', stream: orders, expected: 0n, events: { bytes, ends: Uint32Array.of(0, bytes.length) } },
      ])
      const { batches } = await store().read(orders, 0n, { maxBytes: 1 })
      expect(batches[0].ends).toEqual(Uint32Array.of(0))
      const [huge] = (await store().read(orders, 1n)).batches
      expect(Buffer.compare(huge.bytes, bytes)).toBe(0)
      expect(await store().state(orders)).toMatchObject({ bytes: bytes.length, next: 2n })
    })

    it('gives the reader bytes of its own, and keeps its own of the writer', async () => {
      const events = eventsOf('before')
      const writing = store().write([{ type: 'append', stream: orders, expected: 0n, events }])
      events.bytes.fill(0)
      events.ends.fill(0)
      await writing
      const [batch] = (await store().read(orders, 0n)).batches
      expect(Buffer.from(batch.bytes).toString()).toBe('before')
      batch.bytes.fill(0)
      expect(await allTexts(store(), orders)).toEqual(['before'])
    })
  })

  describe('truncating and removing', () => {
    beforeEach(async () => {
      await store().write([append(orders, 0n, 'a', 'bb', 'ccc')])
      await store().write([append(orders, 3n, 'dddd', 'eeeee')])
    })

    it('removes the events before a sequence, between appends and within one', async () => {
      await store().write([{ type: 'truncate', stream: orders, before: 3n }])
      expect(await store().state(orders)).toMatchObject({ first: 3n, next: 5n, bytes: 9 })
      expect(textsOf(await store().read(orders, 0n))[0]).toEqual({ sequence: 3n, text: 'dddd' })
      await store().write([{ type: 'truncate', stream: orders, before: 4n }])
      expect(await store().state(orders)).toMatchObject({ first: 4n, next: 5n, bytes: 5 })
      expect(textsOf(await store().read(orders, 0n))).toEqual([{ sequence: 4n, text: 'eeeee' }])
    })

    it('does not bring back what was removed', async () => {
      await store().write([{ type: 'truncate', stream: orders, before: 2n }])
      await store().write([{ type: 'truncate', stream: orders, before: 1n }])
      expect(await store().state(orders)).toMatchObject({ first: 2n, next: 5n, bytes: 12 })
      expect(await allTexts(store(), orders, 2n)).toEqual(['ccc', 'dddd', 'eeeee'])
    })

    it('goes on counting behind a stream whose events are all gone', async () => {
      await store().write([{ type: 'truncate', stream: orders, before: 999n }])
      expect(await store().state(orders)).toEqual({
        first: 5n,
        next: 5n,
        bytes: 0,
        firstTimestamp: null,
        lastTimestamp: null,
      })
      expect(await store().read(orders, 0n)).toEqual({ batches: [], next: 5n })
      expect(await store().sequenceAt(orders, 0)).toBe(5n)
      await expect(store().write([append(orders, 0n, 'x')])).rejects.toMatchObject({ code: 'SEQUENCE_CONFLICT' })
      await store().write([append(orders, 5n, 'f')])
      expect(await store().state(orders)).toMatchObject({ first: 5n, next: 6n, bytes: 1 })
      expect(await allTexts(store(), orders, 5n)).toEqual(['f'])
    })

    it('forgets a removed stream and its sequence', async () => {
      await store().write([{ type: 'remove', stream: orders }])
      expect(await store().state(orders)).toMatchObject({ first: 0n, next: 0n })
      expect((await store().keys('channel', [])).keys).toEqual([])
      await store().write([append(orders, 0n, 'new')])
      expect(await allTexts(store(), orders)).toEqual(['new'])
    })

    it('leaves the streams beside it alone', async () => {
      const neighbours = [stream('order'), stream('orders', ''), stream('orders', 'x'), stream('orderss')]
      await store().write(neighbours.map((name) => append(name, 0n, 'here')))
      await store().write([{ type: 'remove', stream: orders }])
      for (const name of neighbours) expect(await allTexts(store(), name)).toEqual(['here'])
      await store().write([{ type: 'truncate', stream: stream('orders', ''), before: 1n }])
      for (const name of [neighbours[0], neighbours[2], neighbours[3]]) {
        expect(await allTexts(store(), name)).toEqual(['here'])
      }
    })

    it('truncates and appends in one write', async () => {
      await store().write([
        append(orders, 5n, 'f', 'g'),
        { type: 'truncate', stream: orders, before: 6n },
        append(orders, 7n, 'h'),
      ])
      expect(await store().state(orders)).toMatchObject({ first: 6n, next: 8n, bytes: 2 })
      expect(await allTexts(store(), orders, 6n)).toEqual(['g', 'h'])
    })

    it('removes and begins anew in one write', async () => {
      await store().write([{ type: 'remove', stream: orders }, append(orders, 0n, 'new')])
      expect(await allTexts(store(), orders)).toEqual(['new'])
      expect(await store().state(orders)).toMatchObject({ first: 0n, next: 1n, bytes: 3 })
    })

    it('takes what is not there as removed already', async () => {
      await store().write([
        { type: 'remove', stream: stream('nobody') },
        { type: 'truncate', stream: stream('nobody'), before: 3n },
      ])
      expect(await store().state(stream('nobody'))).toMatchObject({ first: 0n, next: 0n })
      expect((await store().keys('channel', [])).keys).toEqual([orders])
    })
  })

  describe('time', () => {
    afterEach(() => {
      vi.useRealTimers()
    })

    async function appendAt(time: number, expected: bigint, ...texts: string[]): Promise<void> {
      vi.useFakeTimers({ toFake: ['Date'], now: time })
      await store().write([append(orders, expected, ...texts)])
    }

    it('finds the first event that is not older', async () => {
      await appendAt(1_000, 0n, 'a', 'b')
      await appendAt(2_000, 2n, 'c')
      await appendAt(2_000, 3n, 'd')
      await appendAt(4_000, 4n, 'e', 'f')
      const found = await Promise.all(
        [-1, 0, 1_000, 1_001, 2_000, 2_001, 4_000, 4_001].map((time) => store().sequenceAt(orders, time)),
      )
      expect(found).toEqual([0n, 0n, 0n, 2n, 2n, 4n, 4n, 6n])
      await store().write([{ type: 'truncate', stream: orders, before: 5n }])
      expect(await store().sequenceAt(orders, 0)).toBe(5n)
      expect(await store().sequenceAt(orders, 4_000)).toBe(5n)
      expect(await store().sequenceAt(orders, 4_001)).toBe(6n)
    })

    it('finds it among many', async () => {
      for (let at = 0; at < 100; at++) await appendAt(1_000 + at * 10, BigInt(at * 3), 'a', 'b', 'c')
      for (const at of [0, 1, 37, 64, 98, 99]) {
        expect(await store().sequenceAt(orders, 1_000 + at * 10)).toBe(BigInt(at * 3))
        expect(await store().sequenceAt(orders, 1_001 + at * 10)).toBe(BigInt(at * 3 + 3))
      }
    })

    it('never goes back, even if the clock does', async () => {
      await appendAt(50_000, 0n, 'a')
      await appendAt(10_000, 1n, 'b')
      await appendAt(60_000, 2n, 'c')
      const { batches } = await store().read(orders, 0n)
      expect(batches.map(({ timestamp }) => timestamp)).toEqual([50_000, 50_000, 60_000])
      expect(await store().state(orders)).toMatchObject({ firstTimestamp: 50_000, lastTimestamp: 60_000 })
      expect(await store().sequenceAt(orders, 50_001)).toBe(2n)
    })

    it('does not go back behind events that are gone either', async () => {
      await appendAt(50_000, 0n, 'a')
      await store().write([{ type: 'truncate', stream: orders, before: 1n }])
      await appendAt(10_000, 1n, 'b')
      expect(await store().state(orders)).toMatchObject({ firstTimestamp: 50_000, lastTimestamp: 50_000 })
    })
  })
}
