import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type Bus, createBus } from '../../ts/bus/index.ts'
import { connect } from '../../ts/client/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { serve } from '../../ts/server/index.ts'

const COUNT = 60
const DAMAGED = 30
const textOf = (index: number): string => `message ${index};${'y'.repeat(3_000)}`

let dataDir: string

/** A bus on the directory, or the same over a connection. */
async function open(how: 'embedded' | 'remote'): Promise<Bus> {
  const bus = await createBus({ dataDir })
  onTestFinished(() => bus.close())
  if (how === 'embedded') return bus
  const server = await serve(bus, { port: 0 })
  const remote = await connect(server.url)
  onTestFinished(() => remote.close())
  return remote
}

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'liminal-damaged-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true }))
  const bus = await createBus({ dataDir, channels: [{ name: 'orders', durable: true }] })
  // Each in a record of its own.
  for (let index = 0; index < COUNT; index++) await bus.channel('orders').publish(textOf(index))
  await bus.close()
  const file = join(dataDir, 'each', 'data.mdb')
  const data = readFileSync(file)
  const text = `message ${DAMAGED};`
  const places: number[] = []
  for (let at = data.indexOf(text); at !== -1; at = data.indexOf(text, at + 1)) places.push(at)
  expect(places).not.toEqual([])
  for (const at of places) data[at] ^= 1
  writeFileSync(file, data)
})

describe.each(['embedded', 'remote'] as const)('a log with a message that is damaged, on a bus that is %s', (how) => {
  const damage = {
    code: 'STORE_CORRUPT',
    message: expect.stringMatching(new RegExp(`channel 'orders': the record with sequence ${DAMAGED} `)),
  }

  it('gives a subscription everything before it, and says then what is damaged', async () => {
    const bus = await open(how)
    const values: unknown[] = []
    const reading = bus.channel('orders').subscribe({ from: 'earliest' })
    await expect(
      (async () => {
        for await (const { value } of reading) values.push(value)
      })(),
    ).rejects.toMatchObject(damage)
    expect(values).toEqual(Array.from({ length: DAMAGED }, (_, index) => textOf(index)))
  })

  it.each([{}, { maxAttempts: 2 }])(
    'lets a cursor (%j) come to it, and go on behind it once it is moved',
    async (more) => {
      const bus = await open(how)
      const orders = bus.channel('orders')
      const positions: (bigint | null)[] = []
      const work = orders.subscribe({ cursor: { name: 'billing', ...more }, from: 'earliest', maxInFlight: 8 })
      await expect(
        (async () => {
          for await (const { position } of work) positions.push(position)
        })(),
      ).rejects.toMatchObject(damage)
      expect(positions).toEqual(Array.from({ length: DAMAGED }, (_, index) => BigInt(index)))
      // Where it is, it is told at once: what was accepted is accepted.
      const again = await failureOf(orders.subscribe({ cursor: { name: 'billing', ...more } }))
      expect(again).toMatchObject(damage)
      expect((await bus.administration.cursors('orders'))[0]).toMatchObject({ position: BigInt(DAMAGED) })
      await bus.administration.setCursor('orders', 'billing', { position: BigInt(DAMAGED + 1) })
      for await (const { position } of orders.subscribe({ cursor: { name: 'billing', ...more } })) {
        expect(position).toBe(BigInt(DAMAGED + 1))
        break
      }
    },
  )
})

describe.each(['embedded', 'remote'] as const)('a channel that is damaged, on a bus that is %s', (how) => {
  it('can be removed, as its error says, and begins anew', async () => {
    const bus = await open(how)
    const orders = bus.channel('orders')
    const error = await failureOf(orders.subscribe({ from: { position: BigInt(DAMAGED) } }))
    expect(error).toMatchObject({ code: 'STORE_CORRUPT', message: expect.stringContaining("remove channel 'orders'") })
    await bus.administration.removeChannel('orders')
    expect(await failureOf(orders.subscribe())).toMatchObject({ code: 'CHANNEL_NOT_FOUND' })
    await expect(orders.publish('anew')).rejects.toMatchObject({ code: 'CHANNEL_NOT_FOUND' })
    await bus.close()
    if (how === 'remote') return
    const next = await createBus({ dataDir, channels: [{ name: 'orders', durable: true }] })
    expect((await next.channel('orders').publish('anew')).position).toBe(0n)
    await next.close()
  })
})

describe('a cursor at a message that is damaged', () => {
  it('waits for the answers to what is before it, and delivers that again', async () => {
    const bus = await open('embedded')
    const attempts: string[] = []
    const handed: bigint[] = []
    const work = bus.channel('orders').subscribe({ cursor: 'billing', from: 'earliest', accept: 'each' })
    const over = (async () => {
      for await (const delivery of work) {
        const { position, attempt } = delivery
        handed.push(position ?? -1n)
        if (position === 10n || position === 29n) attempts.push(`${position}: ${attempt}`)
        if (position === 10n && attempt === 1) delivery.reject({ delayMs: 20 })
        else delivery.accept()
      }
    })()
    await expect(over).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
    expect(attempts).toEqual(['10: 1', '29: 1', '10: 2'])
    expect(handed).toHaveLength(DAMAGED + 1)
  })
})

async function failureOf(deliveries: AsyncIterable<unknown>): Promise<unknown> {
  try {
    for await (const _ of deliveries) throw new LiminalError('INTERNAL', 'There was a delivery.')
  } catch (error) {
    return error
  }
  return null
}
