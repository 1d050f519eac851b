import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { Bus, BusOptions } from '../../ts/bus/index.ts'
import { peekAll, serve, take, temporaryDirectory, texts } from './durable-fixture.ts'
import { refusalOf } from './durable-server.ts'

const HOUR_MS = 3_600_000

async function durable(...names: string[]): Promise<BusOptions & { dataDir: string }> {
  return { dataDir: await temporaryDirectory(), channels: names.map((name) => ({ name, durable: true })) }
}

describe('a server that starts on the directory of one before it', () => {
  it.each(['kill', 'close'] as const)('after %s goes on publishing where the log ends', async (ending) => {
    const options = await durable('orders')
    const ids: bigint[] = []
    for (const life of [0, 1, 2]) {
      const { server, bus } = await serve(options)
      for (const which of [0, 1]) {
        const { position, messageId, duplicate } = await bus.channel('orders').publish(`${life}-${which}`)
        expect([position, duplicate]).toEqual([BigInt(life * 2 + which), false])
        ids.push(messageId)
      }
      await server[ending]()
    }
    expect(ids).toEqual(ids.toSorted((one, other) => (one < other ? -1 : 1)))
    const { bus } = await serve(options)
    expect(await texts(bus, 'orders')).toEqual(['"0-0"', '"0-1"', '"1-0"', '"1-1"', '"2-0"', '"2-1"'])
    expect((await peekAll(bus, 'orders')).map(({ messageId }) => messageId)).toEqual(ids)
  })

  it('knows the keys of before, each on its own channel', async () => {
    const options = await durable('orders', 'invoices')
    const key = { idempotencyKey: 'same' }
    const { server, bus } = await serve(options)
    await bus.channel('invoices').publish('before')
    const order = await bus.channel('orders').publish('order', key)
    const invoice = await bus.channel('invoices').publish('invoice', key)
    expect([order.position, order.duplicate, invoice.position, invoice.duplicate]).toEqual([0n, false, 1n, false])
    await server.kill()

    const next = await serve(options)
    const again = await next.bus.channel('orders').publish('order', key)
    expect(again).toMatchObject({ position: 0n, duplicate: true, messageId: order.messageId })
    expect(await next.bus.channel('invoices').publish('invoice', key)).toMatchObject({ position: 1n, duplicate: true })
    expect(await texts(next.bus, 'orders')).toEqual(['"order"'])
    expect(await texts(next.bus, 'invoices')).toEqual(['"before"', '"invoice"'])
  })

  it('lets a cursor go on where it was', async () => {
    const options = await durable('orders')
    const first = await serve(options)
    for (const order of ['one', 'two', 'three']) await first.bus.channel('orders').publish(order)
    const cursor = { cursor: 'billing', from: 'earliest' } as const
    const before = await take(first.bus, 'orders', 2, cursor)
    expect(before.map(({ value }) => value)).toEqual(['one', 'two'])
    expect(await first.bus.administration.cursors('orders')).toMatchObject([{ name: 'billing', position: 2n, lag: 1n }])
    await first.server.kill()

    const { bus } = await serve(options)
    const [after] = await take(bus, 'orders', 1, cursor)
    expect([after.value, after.position]).toEqual(['three', 2n])
  })

  it('finds nothing of a message that its schema refused, nor its key', async () => {
    const schema = { type: 'object', required: ['id'] }
    const options = {
      dataDir: await temporaryDirectory(),
      channels: [{ name: 'orders', schema, durable: true as const }],
    }
    const key = { idempotencyKey: 'first' }
    const { server, bus } = await serve(options)
    await expect(bus.channel('orders').publish({ name: 'no id' }, key)).rejects.toMatchObject({
      code: 'PAYLOAD_INVALID',
    })
    expect(await bus.administration.channel('orders')).toMatchObject({ first: 0n, next: 0n, bytes: 0 })
    await server.kill()

    const next = await serve(options)
    expect(await texts(next.bus, 'orders')).toEqual([])
    expect(await next.bus.channel('orders').publish({ id: 1 }, key)).toMatchObject({ position: 0n, duplicate: false })
  })

  it('keeps order, keys and timestamps straight when the clock was set back', async () => {
    const options = await durable('orders')
    const key = (name: string) => ({ idempotencyKey: name })
    const first = await serve(options)
    for (const name of ['a', 'b']) await first.bus.channel('orders').publish(name, key(name))
    await first.server.kill()

    const shifted = { nodeOptions: ['--import', CLOCK], environment: { LIMINAL_CLOCK_SHIFT_MS: String(-HOUR_MS) } }
    const second = await serve(options, shifted)
    const { position, messageId } = await second.bus.channel('orders').publish('c', key('c'))
    expect(position).toBe(2n)
    expect(await second.bus.channel('orders').publish('a', key('a'))).toMatchObject({ position: 0n, duplicate: true })
    const log = await peekAll(second.bus, 'orders')
    expect(messageId).toBe(log[2].messageId)
    expect(log[2].messageId).toBeGreaterThan(log[1].messageId)
    // What was published by the clock of before is found by it, and what came after it too.
    const since = await take<string>(second.bus, 'orders', 2, { from: { time: log[1].timestamp } })
    expect(since.at(-1)?.value).toBe('c')
    await second.server.kill()

    const third = await serve(options)
    expect(await third.bus.channel('orders').publish('c', key('c'))).toMatchObject({ position: 2n, duplicate: true })
    expect(await third.bus.channel('orders').publish('d', key('d'))).toMatchObject({ position: 3n, duplicate: false })
    const stamps = (await peekAll(third.bus, 'orders')).map(({ timestamp }) => timestamp)
    expect(stamps).toEqual(stamps.toSorted((one, other) => one - other))
  })
})

/** Publishes numbers from one on, each at its own position, until the log does not begin where it began. */
async function publishUntilRemoved(bus: Bus, from: number): Promise<bigint> {
  const orders = bus.channel<number>('orders')
  for (let number = from; number < from + 10_000; number++) {
    await orders.publish(number)
    const { first } = await bus.administration.channel('orders')
    if (first !== null && first > 0n) return first
  }
  throw new Error('Nothing was removed in 10,000 publishes.')
}

const CLOCK = fileURLToPath(new URL('./clock-shift.mjs', import.meta.url))

describe('two servers on one directory', () => {
  it('the second one says that it is taken; the first one never notices', async () => {
    const options = await durable('orders')
    const { server, bus } = await serve(options)
    await bus.channel('orders').publish('one')
    const refusal = await refusalOf(options)
    expect(refusal).toMatchObject({ code: 'STORE_LOCKED', retryable: true })
    expect(refusal.message).toContain(options.dataDir)
    expect(await bus.channel('orders').publish('two')).toMatchObject({ position: 1n })
    await server.kill()

    // A dead one holds nothing.
    const next = await serve(options)
    expect(await texts(next.bus, 'orders')).toEqual(['"one"', '"two"'])
  })
})

describe('replay', () => {
  const COUNT = 300

  it('begins with the oldest message that is there, also after a restart', async () => {
    const options = await durable('orders')
    const first = await serve(options)
    const orders = first.bus.channel<number>('orders')
    await Promise.all(Array.from({ length: COUNT }, (_, number) => orders.publish(number)))
    const lagging = { cursor: 'lagging', from: 'earliest' } as const
    await take(first.bus, 'orders', 10, lagging)
    expect(await first.bus.administration.purge('orders', { before: 200n })).toBe(200n)

    const check = async ({ bus }: typeof first) => {
      expect(await bus.administration.channel('orders')).toMatchObject({ first: 200n, next: BigInt(COUNT) })
      for (const from of ['earliest', { position: 0n }, { position: 199n }, { position: 200n }] as const) {
        const all = await take<number>(bus, 'orders', 100, { from })
        expect(all.map(({ value }) => value)).toEqual(Array.from({ length: 100 }, (_, index) => 200 + index))
        expect(all[0].position).toBe(200n)
      }
      const [middle] = await take<number>(bus, 'orders', 1, { from: { position: 250n } })
      expect([middle.value, middle.position]).toEqual([250, 250n])
    }
    await check(first)
    const [skipped] = await take<number>(first.bus, 'orders', 1, lagging)
    expect([skipped.value, skipped.position]).toEqual([200, 200n])
    await first.server.kill()

    const second = await serve(options)
    await check(second)
    const [next] = await take<number>(second.bus, 'orders', 1, lagging)
    expect(next.value).toBe(201)
    expect(await second.bus.channel('orders').publish(COUNT)).toMatchObject({ position: BigInt(COUNT) })
  })

  it('begins with the oldest message that retention has left, which is never past a cursor', async () => {
    const most = 100
    const options = {
      dataDir: await temporaryDirectory(),
      channels: [{ name: 'orders', durable: { retention: { maxMessages: most } } }],
    }
    const cursor = { cursor: 'billing', from: 'earliest' } as const
    const first = await serve(options)
    await first.bus.channel('orders').publish(0)
    await take(first.bus, 'orders', 1, cursor)
    const orders = first.bus.channel<number>('orders')
    await Promise.all(Array.from({ length: 999 }, (_, number) => orders.publish(number + 1)))
    // Held by a cursor that has accepted one message.
    expect((await first.bus.administration.channel('orders')).first).toBeLessThanOrEqual(1n)
    await take(first.bus, 'orders', 999, cursor)
    await first.server.kill()

    const second = await serve(options)
    const oldest = await publishUntilRemoved(second.bus, 1_000)
    const { first: from, next } = await second.bus.administration.channel('orders')
    const count = Number((next ?? 0n) - (from ?? 0n))
    const replayed = await take<number>(second.bus, 'orders', count, { from: 'earliest' })
    expect(replayed.map(({ value }) => value)).toEqual(Array.from({ length: count }, (_, at) => Number(from) + at))
    expect(count).toBeGreaterThanOrEqual(most)
    await second.server.kill()

    const third = await serve(options)
    const [kept] = await take<number>(third.bus, 'orders', 1, { from: { position: 0n } })
    expect(kept.position).toBeGreaterThanOrEqual(oldest)
    expect(kept.value).toBe(Number(kept.position))
  })

  it('joins what is being published, without a gap and without a duplicate, wherever it begins', async () => {
    const { bus } = await serve(await durable('orders'))
    const orders = bus.channel<number>('orders')
    let published = 0
    const publishUntil = (end: number) => {
      const lane = async (): Promise<void> => {
        while (published < end) await orders.publish(published++)
      }
      return Promise.all(Array.from({ length: 64 }, lane))
    }
    await publishUntil(2_000)
    const publishing = publishUntil(20_000)
    const readers = [0n, 1n, 1_000n, 1_999n].map(async (position) => {
      let due = position
      for await (const delivery of orders.subscribe({ from: { position } })) {
        // Most of the time of this test would be in `expect`.
        if (delivery.position !== due) expect(delivery.position).toBe(due)
        due++
        if (due === 20_000n) break
      }
    })
    await Promise.all([publishing, ...readers])
  })
})
