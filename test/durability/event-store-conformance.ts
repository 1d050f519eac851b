import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { EventStore } from '../../ts/durability/index.ts'
import { eventsSuite } from './event-store-events.ts'
import { keysSuite } from './event-store-keys.ts'
import { append, stream } from './event-store-tools.ts'
import { writesSuite } from './event-store-writes.ts'

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

    eventsSuite(() => store)
    writesSuite(() => store)
    keysSuite(() => store)

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
