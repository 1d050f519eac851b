import { expect, it } from 'vitest'
import { schemaId } from '../../ts/codec/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import type { Setup } from './suite.ts'
import { Collector, deferred, failure, numbers, Taker } from './tools.ts'

const ORDER_SCHEMA = {
  type: 'object',
  properties: {
    id: { type: 'string', minLength: 1 },
    quantity: { type: 'integer', minimum: 1, default: 1 },
  },
  required: ['id'],
  additionalProperties: false,
}

/** Publishing, receipts, contracts and keys. */
export function publishingTests(setup: Setup): void {
  it('delivers everything, in publish order, to every subscriber', async () => {
    const backing = await setup()
    const [publisher, reader, other] = [await backing.bus(), await backing.bus(), await backing.bus()]
    const first = new Collector<number>()
    const second = new Collector<number>()
    await reader.channel<number>('ticks').subscribe(first.handler).ready()
    await other.channel<number>('ticks').subscribe(second.handler).ready()

    const ticks = publisher.channel<number>('ticks')
    await Promise.all(numbers(2_000).map((tick) => ticks.publish(tick)))

    expect(await first.reach(2_000)).toEqual(numbers(2_000))
    expect(await second.reach(2_000)).toEqual(numbers(2_000))
  })

  it.each(['iterator', 'handler'])(
    'loses nothing of what a bus sends to itself as fast as it can (%s)',
    async (form) => {
      const backing = await setup()
      const bus = await backing.bus()
      const count = 60_000
      const channel = bus.channel<Uint8Array>('flood', { payload: 'bytes' })
      let received = 0
      const all = deferred()
      const take = (sequence: bigint): void => {
        received++
        // Most of the time of this test would be in `expect`.
        if (sequence !== BigInt(received)) expect(sequence).toBe(BigInt(received))
        if (received === count) all.resolve()
      }
      if (form === 'handler') {
        await channel
          .subscribe((deliveries) => {
            for (const { sequence } of deliveries) take(sequence)
          })
          .ready()
      } else {
        const subscription = await ready(channel.subscribe())
        void (async () => {
          for await (const { sequence } of subscription) take(sequence)
        })().catch(all.reject)
      }
      const payload = new Uint8Array(128)
      for (let sent = 0; sent < count; ) {
        try {
          channel.send(payload)
          sent++
        } catch (error) {
          if (!(error instanceof LiminalError) || error.code !== 'OUTBOX_FULL') throw error
          await channel.ready()
        }
      }
      await all.promise
      expect(channel.sendCounts.failed).toBe(0)
    },
  )

  it('says in the receipt whether anybody was reached, and gives rising ids', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const channel = bus.channel<string>('news')

    const before = await channel.publish('nobody')
    expect(before).toMatchObject({ delivered: false, duplicate: false })
    expect([0, null]).toContain(before.deliveredTo)

    await channel.subscribe(() => {}).ready()
    const after = await channel.publish('somebody')
    expect(after).toMatchObject({ delivered: true, duplicate: false })
    expect([1, null]).toContain(after.deliveredTo)
    expect(after.messageId).toBeGreaterThan(before.messageId)

    const batch = await Promise.all(numbers(50).map((value) => channel.publish(String(value))))
    const ids = batch.map((receipt) => receipt.messageId)
    expect(ids).toEqual([...ids].sort((left, right) => (left < right ? -1 : 1)))
    expect(new Set(ids).size).toBe(50)
  })

  it('keeps channels apart', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const taker = new Taker(await ready(bus.channel<string>('left').subscribe()))
    await bus.channel<string>('right').publish('for the right')
    await bus.channel<string>('left').publish('for the left')
    expect(await taker.values(1)).toEqual(['for the left'])
  })

  it('carries JSON values as they are', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const values = [null, true, 0, -1.5, '', 'żółć 🎉 \u0000', [], {}, [1, [2, { three: null }]], { a: { b: [false] } }]
    const channel = bus.channel<unknown>('json')
    const taker = new Taker(await ready(channel.subscribe()))
    for (const value of values) await channel.publish(value)
    expect(await taker.values(values.length)).toEqual(values)
  })

  it('carries bytes untouched, from none to a mebibyte', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const channel = bus.channel<Uint8Array>('raw', { payload: 'bytes' })
    const taker = new Taker(await ready(channel.subscribe()))
    const everyByte = Uint8Array.from({ length: 256 }, (_, index) => index)
    const large = Uint8Array.from({ length: 1024 * 1024 }, (_, index) => (index * 31) & 0xff)
    for (const payload of [new Uint8Array(0), everyByte, large]) {
      await channel.publish(payload)
      const delivery = await taker.next()
      expect(Buffer.compare(delivery.value, payload)).toBe(0)
      expect(Buffer.compare(delivery.bytes, payload)).toBe(0)
    }
  })

  it('takes a copy: what the publisher does with its bytes afterwards changes nothing', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const channel = bus.channel<Uint8Array>('raw', { payload: 'bytes' })
    const taker = new Taker(await ready(channel.subscribe()))
    const payload = Uint8Array.of(1, 2, 3)
    const published = channel.publish(payload)
    payload.fill(9)
    await published
    expect([...(await taker.next()).value]).toEqual([1, 2, 3])
  })

  it('refuses values without a JSON form', async () => {
    const backing = await setup()
    const channel = (await backing.bus()).channel<unknown>('json')
    const cycle: Record<string, unknown> = {}
    cycle.self = cycle
    for (const value of [undefined, () => 1, 1n, cycle]) await failure(() => channel.publish(value), 'PAYLOAD_INVALID')
    await failure(() => channel.send(undefined), 'PAYLOAD_INVALID')
  })

  it('says so when a payload is not JSON, and only when it is read as JSON', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const taker = new Taker(await ready(bus.channel('mixed').subscribe()))
    await bus.channel<Uint8Array>('mixed', { payload: 'bytes' }).publish(Uint8Array.of(0xff, 0xfe))
    const delivery = await taker.next()
    await failure(() => delivery.value, 'PAYLOAD_INVALID')
    expect([...delivery.bytes]).toEqual([0xff, 0xfe])
  })

  it('passes the causal context through', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const channel = bus.channel<number>('caused')
    const taker = new Taker(await ready(channel.subscribe()))
    const causes = [
      { parentId: 'request-7 ☎', vectorClockEntry: 2n ** 63n },
      { parentId: '', vectorClockEntry: null },
      { parentId: null, vectorClockEntry: 0n },
    ]
    for (const causal of causes) await channel.publish(1, { causal })
    await channel.publish(2)
    for (const causal of causes) expect((await taker.next()).causal).toEqual(causal)
    expect((await taker.next()).causal).toEqual({ parentId: null, vectorClockEntry: null })
  })

  it('refuses a payload that breaks the schema, without a trace, and fills defaults', async () => {
    const backing = await setup({ channels: [{ name: 'orders', schema: ORDER_SCHEMA }] })
    const bus = await backing.bus()
    const orders = bus.channel<unknown>('orders')
    const taker = new Taker(await ready(orders.subscribe()))

    const error = await failure(() => orders.publish({ id: '', quantity: 0 }), 'PAYLOAD_INVALID')
    expect(error.message).toContain('/id')
    expect(error.message).toContain('/quantity')
    await failure(() => orders.publish({ id: 'o-1', colour: 'red' }), 'PAYLOAD_INVALID')
    await failure(() => orders.publish('not an order'), 'PAYLOAD_INVALID')

    await orders.publish({ id: 'o-1' })
    const delivery = await taker.next()
    expect(delivery.sequence).toBe(1n)
    expect(delivery.value).toEqual({ id: 'o-1', quantity: 1 })
    expect(Buffer.compare(delivery.schemaId, schemaId(ORDER_SCHEMA))).toBe(0)
  })

  it('leaves the bytes of a payload alone where no default was filled', async () => {
    const backing = await setup({ channels: [{ name: 'orders', schema: ORDER_SCHEMA }] })
    const bus = await backing.bus()
    const taker = new Taker(await ready(bus.channel('orders').subscribe()))
    const text = '{ "quantity" : 2.0,\n "id":"o\\u002d1" }'
    await bus.channel<Uint8Array>('orders', { payload: 'bytes' }).publish(Buffer.from(text))
    const delivery = await taker.next()
    expect(Buffer.from(delivery.bytes).toString()).toBe(text)
    expect(delivery.value).toEqual({ id: 'o-1', quantity: 2 })
  })

  it('negotiates the schema with the subscriber', async () => {
    const backing = await setup({ channels: [{ name: 'orders', schema: ORDER_SCHEMA }] })
    const orders = (await backing.bus()).channel('orders')
    const own = schemaId(ORDER_SCHEMA)
    const other = schemaId({ type: 'string' })
    await orders.subscribe({ acceptedSchemas: [other, own] }).ready()

    const refused = orders.subscribe({ acceptedSchemas: [other] })
    await failure(() => refused.ready(), 'SchemaIncompatible')
    await failure(() => refused.closed, 'SchemaIncompatible')
    await new Taker(refused).fails('SchemaIncompatible')
  })

  it('gives a repeated idempotency key the receipt of the first publish, and delivers once', async () => {
    const backing = await setup()
    const [bus, other] = [await backing.bus(), await backing.bus()]
    const channel = bus.channel<string>('payments')
    const taker = new Taker(await ready(channel.subscribe()))

    const first = await channel.publish('pay', { idempotencyKey: 'p-1' })
    const again = await other.channel<string>('payments').publish('pay', { idempotencyKey: 'p-1' })
    await channel.publish('next', { idempotencyKey: 'p-2' })

    expect(first.duplicate).toBe(false)
    expect(again).toEqual({ ...first, duplicate: true })
    expect(await taker.values(2)).toEqual(['pay', 'next'])
  })

  it('resolves repeated keys among publishes that are underway together', async () => {
    const backing = await setup()
    const channel = (await backing.bus()).channel<number>('payments')
    const taker = new Taker(await ready(channel.subscribe()))
    const receipts = await Promise.all(
      numbers(20).map((value) => channel.publish(value, { idempotencyKey: `key-${value % 5}` })),
    )
    expect(receipts.map((receipt) => receipt.duplicate)).toEqual(numbers(20).map((value) => value >= 5))
    for (const value of numbers(20)) expect(receipts[value].messageId).toBe(receipts[value % 5].messageId)
    await channel.publish(99)
    expect(await taker.values(6)).toEqual([0, 1, 2, 3, 4, 99])
  })

  it('scopes an idempotency key to its channel', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const one = await bus.channel('one').publish(1, { idempotencyKey: 'same' })
    const two = await bus.channel('two').publish(2, { idempotencyKey: 'same' })
    expect([one.duplicate, two.duplicate]).toEqual([false, false])
    expect(two.messageId).not.toBe(one.messageId)
  })

  it('does not spend an idempotency key on a publish that was refused', async () => {
    const backing = await setup({ channels: [{ name: 'orders', schema: ORDER_SCHEMA }] })
    const orders = (await backing.bus()).channel<unknown>('orders')
    await failure(() => orders.publish({}, { idempotencyKey: 'k' }), 'PAYLOAD_INVALID')
    expect((await orders.publish({ id: 'o-1' }, { idempotencyKey: 'k' })).duplicate).toBe(false)
    expect((await orders.publish({ id: 'o-1' }, { idempotencyKey: 'k' })).duplicate).toBe(true)
  })

  it('fails for a channel that does not exist, where none is created', async () => {
    const backing = await setup({ channels: [{ name: 'known' }], createChannels: false })
    const bus = await backing.bus()
    await bus.channel('known').publish(1)

    const unknown = bus.channel('unknown')
    const error = await failure(() => unknown.publish(1), 'CHANNEL_NOT_FOUND')
    expect(error.message).toContain("'unknown'")
    const subscription = unknown.subscribe()
    await failure(() => subscription.ready(), 'CHANNEL_NOT_FOUND')
    await failure(() => subscription.closed, 'CHANNEL_NOT_FOUND')
    await new Taker(subscription).fails('CHANNEL_NOT_FOUND')
  })

  it('does not publish for a signal that was aborted before', async () => {
    const backing = await setup()
    const channel = (await backing.bus()).channel<string>('quiet')
    const taker = new Taker(await ready(channel.subscribe()))
    const reason = new Error('changed my mind')
    const error = await failure(() => channel.publish('never', { signal: AbortSignal.abort(reason) }), 'ABORTED')
    expect(error.cause).toBe(reason)
    await channel.publish('now')
    expect(await taker.values(1)).toEqual(['now'])
  })

  it('refuses what its defaults make too large for a subscriber, and goes on', async () => {
    const properties = { note: { type: 'string', default: 'x'.repeat(1_000) } }
    const backing = await setup({
      channels: [{ name: 'orders', schema: { type: 'object', properties } }],
      maxMessageBytes: 1_000,
    })
    const orders = (await backing.bus()).channel<unknown>('orders')
    const taker = new Taker(await ready(orders.subscribe()))
    const error = await failure(() => orders.publish({}, { idempotencyKey: 'k' }), 'PAYLOAD_TOO_LARGE')
    expect(error.retryable).toBe(false)
    expect((await orders.publish({ note: 'short' }, { idempotencyKey: 'k' })).duplicate).toBe(false)
    expect(await taker.values(1)).toEqual([{ note: 'short' }])
  })

  it('delivers the largest message that it takes', async () => {
    const backing = await setup()
    const [bus, reader] = [await backing.bus(), await backing.bus()]
    const taker = new Taker(await ready(reader.channel<Uint8Array>('x', { payload: 'bytes' }).subscribe()))
    const channel = bus.channel<Uint8Array>('x', { payload: 'bytes' })
    // A frame of 16 MiB has 22 bytes before the envelope, and that has 42 before its payload.
    const most = 16 * 1024 * 1024 - 22 - 42
    await failure(() => channel.publish(new Uint8Array(most + 1)), 'PAYLOAD_TOO_LARGE')
    await channel.publish(new Uint8Array(most))
    expect((await taker.next()).value.length).toBe(most)
  })

  it('sends what has a key once, whoever sends or publishes it again, and whatever it looks like', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const channel = bus.channel<Uint8Array>('orders', { payload: 'bytes' })
    const subscription = channel.subscribe()
    await subscription.ready()
    const taker = new Taker(subscription)
    const causal = { parentId: 'cart-1', vectorClockEntry: 1n }
    const large = new Uint8Array(40_000).fill(7)
    const messages = [new Uint8Array([1]), large, new Uint8Array([3])]
    const options = [{}, {}, { causal }].map((rest, index) => ({ ...rest, idempotencyKey: `key-${index}` }))
    for (let round = 0; round < 3; round++) {
      for (const [index, message] of messages.entries()) channel.send(message, options[index])
    }
    channel.send(new Uint8Array([4]), { idempotencyKey: 'ключ' })
    const [first, second, third, fourth] = [
      await taker.next(),
      await taker.next(),
      await taker.next(),
      await taker.next(),
    ]
    expect([first, second, third, fourth].map(({ value }) => value.length)).toEqual([1, 40_000, 1, 1])
    expect([second.value[39_999], third.causal.parentId, fourth.value[0]]).toEqual([7, 'cart-1', 4])
    expect(await channel.publish(large, { idempotencyKey: 'key-1' })).toMatchObject({ duplicate: true })
    expect(channel.sendCounts).toEqual({ sent: 10, failed: 0, lastError: null })
    await failure(() => channel.send(large, { idempotencyKey: '' }), 'INVALID_ARGUMENT')
    await failure(() => channel.send(large, { idempotencyKey: '\ud800' }), 'INVALID_ARGUMENT')
    expect(channel.sendCounts.sent).toBe(10)
  })

  it('sends without acknowledgement, in order, and counts', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const channel = bus.channel<number>('telemetry')
    const collector = new Collector<number>()
    await channel.subscribe(collector.handler).ready()
    for (const value of numbers(500)) channel.send(value)
    expect(await collector.reach(500)).toEqual(numbers(500))
    expect(channel.sendCounts).toEqual({ sent: 500, failed: 0, lastError: null })
    expect(bus.channel('telemetry').sendCounts.sent).toBe(0)
  })

  it('counts what was sent in vain, and says why', async () => {
    const backing = await setup({ channels: [{ name: 'orders', schema: ORDER_SCHEMA }] })
    const orders = (await backing.bus()).channel<unknown>('orders')
    orders.send({ id: 'o-1' })
    orders.send({ quantity: 3 })
    // Outcomes come in order: when this one is known, so are those before it.
    await orders.publish({ id: 'o-2' })
    expect(orders.sendCounts).toMatchObject({ sent: 2, failed: 1 })
    await failure(() => Promise.reject(orders.sendCounts.lastError), 'PAYLOAD_INVALID')
  })

  it('counts what was sent to a channel that does not exist', async () => {
    const backing = await setup({ createChannels: false })
    const unknown = (await backing.bus()).channel<number>('unknown')
    unknown.send(1)
    await failure(() => unknown.publish(2), 'CHANNEL_NOT_FOUND')
    expect(unknown.sendCounts).toMatchObject({ sent: 1, failed: 1 })
    await failure(() => Promise.reject(unknown.sendCounts.lastError), 'CHANNEL_NOT_FOUND')
  })

  it('refuses to send when too much is underway, until it is ready again, and loses nothing', async () => {
    const backing = await setup()
    const [bus, reader] = [await backing.bus(), await backing.bus()]
    const channel = bus.channel<Uint8Array>('flood', { payload: 'bytes' })
    const collector = new Collector<Uint8Array>()
    await reader.channel<Uint8Array>('flood', { payload: 'bytes' }).subscribe(collector.handler).ready()

    const payload = new Uint8Array(64 * 1024)
    let sent = 0
    const flood = (): void => {
      // 512 MiB in one turn: more than any queue on the way takes.
      for (; sent < 8_192; sent++) channel.send(payload)
    }
    const error = await failure(flood, 'OUTBOX_FULL')
    expect(error.retryable).toBe(true)
    expect(sent).toBeGreaterThan(0)
    expect(channel.sendCounts.sent).toBe(sent)

    await channel.ready()
    channel.send(payload)
    expect((await collector.reach(sent + 1)).length).toBe(sent + 1)
    expect(channel.sendCounts).toEqual({ sent: sent + 1, failed: 0, lastError: null })
  })

  it('refuses options that it does not know, and names the one that was meant', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const channel = bus.channel('known')
    const misspelt: object = { idempotencykey: 'k' }
    const error = await failure(() => channel.publish(1, misspelt), 'INVALID_ARGUMENT')
    expect(error.message).toContain("'idempotencyKey'")
    await failure(() => channel.send(1, { timeoutMs: 1 } as object), 'INVALID_ARGUMENT')
    await failure(() => channel.ready({ timeout: 1 } as object), 'INVALID_ARGUMENT')
    await failure(() => channel.subscribe({ maxInflight: 1 } as object), 'INVALID_ARGUMENT')
    await failure(() => bus.ask('x', 1, { timeout: 1 } as object), 'INVALID_ARGUMENT')
    await failure(() => bus.dispatch('x', 1, { maxAttempt: 1 } as object), 'INVALID_ARGUMENT')
    await failure(() => bus.converse('x', { deadline: 1 } as object), 'INVALID_ARGUMENT')
    await failure(() => bus.respond('x', () => 1, { payloads: 'json' } as object), 'INVALID_ARGUMENT')
  })
}

async function ready<S extends { ready(): Promise<void> }>(subscription: S): Promise<S> {
  await subscription.ready()
  return subscription
}
