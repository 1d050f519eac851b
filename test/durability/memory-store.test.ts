import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../ts/durability/index.ts'
import { eventStoreConformance } from './event-store-conformance.ts'
import { allTexts, append, eventsOfSize, stream } from './event-store-tools.ts'

eventStoreConformance('MemoryStore', async () => new MemoryStore())

describe('a memory store', () => {
  it('is full at its limit, keeps nothing of what is too much, and goes on', async () => {
    await using store = new MemoryStore({ maxBytes: 1_000 })
    const orders = stream('orders')
    await store.write([{ type: 'append', stream: orders, expected: 0n, events: eventsOfSize(1, 900) }])
    const much = eventsOfSize(1, 101)
    await expect(
      store.write([append(stream('other'), 0n, 'x'), { type: 'append', stream: orders, expected: 1n, events: much }]),
    ).rejects.toMatchObject({ code: 'STORE_FULL', retryable: true })
    expect(await store.state(stream('other'))).toMatchObject({ next: 0n })
    expect(store.stats().bytes).toBe(900)
    await store.write([
      { type: 'truncate', stream: orders, before: 1n },
      { type: 'append', stream: orders, expected: 1n, events: much },
    ])
    expect(store.stats().bytes).toBe(101)
    expect(await allTexts(store, orders, 1n)).toHaveLength(1)
  })

  it('counts bytes right through truncation within a batch, removal and values', async () => {
    await using store = new MemoryStore()
    const orders = stream('orders')
    await store.write([append(orders, 0n, 'aa', 'bbb', 'cccc')])
    await store.write([{ type: 'truncate', stream: orders, before: 1n }])
    await store.write([{ type: 'truncate', stream: orders, before: 2n }])
    expect(store.stats().bytes).toBe(4)
    await store.write([{ type: 'set', key: orders, value: new Uint8Array(10) }])
    expect(store.stats().bytes).toBe(14)
    await store.write([
      { type: 'remove', stream: orders },
      { type: 'set', key: orders, value: null },
    ])
    expect(store.stats().bytes).toBe(0)
  })

  it('refuses options that it does not know', () => {
    expect(() => Reflect.construct(MemoryStore, [{ maxByte: 1 }])).toThrow("Did you mean 'maxBytes'?")
  })
})
