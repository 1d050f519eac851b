import { describe, expect, it } from 'vitest'
import type { EventStore, StoreWrite } from '../../ts/durability/index.ts'
import { allTexts, append, meta, stream, textsOf } from './event-store-tools.ts'

/** What a write expects, values and numbers. `store`: the one of the test at hand, empty at first. */
export function writesSuite(store: () => EventStore): void {
  const orders = stream('orders')

  describe('expectations', () => {
    it('refuses an append behind another sequence than the next, and says which', async () => {
      await store().write([append(orders, 0n, 'a')])
      await expect(store().write([append(orders, 0n, 'b')])).rejects.toMatchObject({
        code: 'SEQUENCE_CONFLICT',
        message: expect.stringMatching(/channel 'orders'.*next sequence is 1.*0 was expected/),
      })
      await expect(store().write([append(orders, 2n, 'b')])).rejects.toMatchObject({ code: 'SEQUENCE_CONFLICT' })
      expect(await allTexts(store(), orders)).toEqual(['a'])
    })

    it('lets exactly one of many win who expect the same', async () => {
      const writers = Array.from({ length: 20 }, (_, at) => store().write([append(orders, 0n, `writer ${at}`)]))
      const outcomes = await Promise.allSettled(writers)
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'SEQUENCE_CONFLICT' })
      }
      expect(await allTexts(store(), orders)).toHaveLength(1)
    })

    it('makes all changes of a write or none', async () => {
      await store().write([{ type: 'set', key: meta('kept'), value: Buffer.from('old') }, append(orders, 0n, 'first')])
      const changes: StoreWrite[] = [
        append(orders, 1n, 'second'),
        append(stream('new'), 0n, 'x'),
        { type: 'truncate', stream: orders, before: 1n },
        { type: 'set', key: meta('kept'), value: null },
        { type: 'compareAndSet', key: meta('count'), expected: null, value: 1n },
        { type: 'remove', stream: orders },
        append(stream('other'), 7n, 'never'),
      ]
      await expect(store().write(changes)).rejects.toMatchObject({ code: 'SEQUENCE_CONFLICT' })
      expect(await allTexts(store(), orders)).toEqual(['first'])
      expect(await store().state(stream('new'))).toMatchObject({ next: 0n })
      expect(await store().state(orders)).toMatchObject({ first: 0n, next: 1n, bytes: 5 })
      expect(await store().get(meta('kept'))).toEqual(new Uint8Array(Buffer.from('old')))
      expect(await store().number(meta('count'))).toBeNull()
      expect((await store().keys('channel', [])).keys).toEqual([orders])
    })

    it('does not let one failed write spoil those that share its commit', async () => {
      const outcomes = await Promise.allSettled([
        store().write([append(orders, 0n, 'a')]),
        store().write([append(orders, 5n, 'never')]),
        store().write([append(orders, 1n, 'b')]),
        store().write([{ type: 'compareAndSet', key: meta('n'), expected: 3n, value: 4n }]),
        store().write([append(orders, 2n, 'c'), append(orders, 3n, 'd')]),
      ])
      expect(outcomes.map(({ status }) => status)).toEqual([
        'fulfilled',
        'rejected',
        'fulfilled',
        'rejected',
        'fulfilled',
      ])
      expect(await allTexts(store(), orders)).toEqual(['a', 'b', 'c', 'd'])
    })

    it('carries writes out in the order of the calls', async () => {
      const writes: Promise<void>[] = []
      for (let at = 0; at < 200; at++) writes.push(store().write([append(orders, BigInt(at), `${at}`)]))
      await Promise.all(writes)
      expect(await allTexts(store(), orders)).toEqual(Array.from({ length: 200 }, (_, at) => `${at}`))
    })

    it('shows a write to whoever asks after it was acknowledged', async () => {
      for (let at = 0n; at < 50n; at++) {
        await store().write([append(orders, at, `${at}`)])
        expect((await store().state(orders)).next).toBe(at + 1n)
        expect(textsOf(await store().read(orders, at))).toEqual([{ sequence: at, text: `${at}` }])
      }
    })

    it('takes a write without changes as done', async () => {
      await expect(store().write([])).resolves.toBeUndefined()
    })
  })

  describe('values and numbers', () => {
    const key = meta('value')

    it('keeps a value until it is replaced or removed', async () => {
      expect(await store().get(key)).toBeNull()
      await store().write([{ type: 'set', key, value: Uint8Array.of(1, 2) }])
      expect(await store().get(key)).toEqual(Uint8Array.of(1, 2))
      await store().write([{ type: 'set', key, value: new Uint8Array(0) }])
      expect(await store().get(key)).toEqual(new Uint8Array(0))
      await store().write([{ type: 'set', key, value: null }])
      expect(await store().get(key)).toBeNull()
      await store().write([{ type: 'set', key, value: null }])
    })

    it('keeps a value of 64 KiB, and refuses one that is larger', async () => {
      const value = new Uint8Array(65_536).fill(7)
      await store().write([{ type: 'set', key, value }])
      expect(Buffer.compare((await store().get(key)) ?? Buffer.alloc(0), value)).toBe(0)
      await expect(store().write([{ type: 'set', key, value: new Uint8Array(65_537) }])).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      })
    })

    it('sets a number only if it is as expected; none is not 0', async () => {
      const set = (expected: bigint | null, value: bigint) =>
        store().write([{ type: 'compareAndSet', key, expected, value }])
      await expect(set(0n, 1n)).rejects.toMatchObject({
        code: 'SEQUENCE_CONFLICT',
        message: expect.stringContaining('none'),
      })
      await set(null, 0n)
      expect(await store().number(key)).toBe(0n)
      await expect(set(null, 1n)).rejects.toMatchObject({ code: 'SEQUENCE_CONFLICT' })
      await set(0n, 0xffff_ffff_ffff_ffffn)
      expect(await store().number(key)).toBe(0xffff_ffff_ffff_ffffn)
      await expect(set(5n, 6n)).rejects.toMatchObject({
        code: 'SEQUENCE_CONFLICT',
        message: expect.stringContaining('18446744073709551615'),
      })
    })

    it('lets one of many move a number', async () => {
      const outcomes = await Promise.allSettled(
        [1n, 2n, 3n].map((value) => store().write([{ type: 'compareAndSet', key, expected: null, value }])),
      )
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected'])
      expect(await store().number(key)).toBe(1n)
    })

    it('takes a key for one value: bytes or a number', async () => {
      await store().write([{ type: 'compareAndSet', key, expected: null, value: 3n }])
      expect(await store().get(key)).toBeNull()
      await store().write([{ type: 'set', key, value: Uint8Array.of(9) }])
      expect(await store().number(key)).toBeNull()
      await expect(store().write([{ type: 'compareAndSet', key, expected: null, value: 3n }])).rejects.toMatchObject({
        code: 'SEQUENCE_CONFLICT',
      })
      await store().write([
        { type: 'set', key, value: null },
        { type: 'compareAndSet', key, expected: null, value: 4n },
      ])
      expect(await store().number(key)).toBe(4n)
    })

    it('changes a value with the events that belong to it', async () => {
      await store().write([append(orders, 0n, 'a'), { type: 'set', key, value: Uint8Array.of(1) }])
      expect(await allTexts(store(), orders)).toEqual(['a'])
      expect(await store().get(key)).toEqual(Uint8Array.of(1))
    })
  })
}
