import { describe, expect, it } from 'vitest'
import { DeliveryBlock, type DeliveryOwner } from '../../ts/bus/delivery.ts'
import { DeliveryRing } from '../../ts/bus/delivery-ring.ts'
import { Column, ROW_WIDTH } from '../../ts/codec/index.ts'

const ENVELOPE_HEAD = 32 + 4 + 2 + 4
const owner: DeliveryOwner = {
  channel: 'ticks',
  payload: 'bytes',
  accept: () => {},
  reject: () => {},
  extend: () => {},
}

/** A block of one-byte payloads, and its columns. */
function block(payloads: readonly number[]): { readonly block: DeliveryBlock; readonly columns: Int32Array } {
  const width = ENVELOPE_HEAD + 1
  const bytes = new Uint8Array(payloads.length * width)
  const columns = new Int32Array(payloads.length * ROW_WIDTH)
  payloads.forEach((value, index) => {
    bytes[index * width + ENVELOPE_HEAD] = value
    columns[index * ROW_WIDTH + Column.ENVELOPE] = index * width
    columns[index * ROW_WIDTH + Column.PAYLOAD] = index * width + ENVELOPE_HEAD
    columns[index * ROW_WIDTH + Column.PAYLOAD_LENGTH] = 1
  })
  return { block: new DeliveryBlock(owner, bytes, 0, new Uint8Array(32)), columns }
}

function pushAll(ring: DeliveryRing<Uint8Array>, payloads: readonly number[]): void {
  const { block: held, columns } = block(payloads)
  ring.push(held, columns, 0, payloads.length, 0)
}

function values(deliveries: readonly { readonly bytes: Uint8Array }[]): number[] {
  return deliveries.map(({ bytes }) => bytes[0])
}

describe('the ring of waiting deliveries', () => {
  it('hands out across blocks in order, and counts what is left', () => {
    const ring = new DeliveryRing<Uint8Array>()
    pushAll(ring, [1, 2, 3])
    pushAll(ring, [4, 5])
    pushAll(ring, [6])
    expect([ring.size, ring.bytes]).toEqual([6, 6])
    const four = ring.take(4, 1)
    expect(values(four)).toEqual([1, 2, 3, 4])
    expect(four.map(({ ordinal }) => ordinal)).toEqual([1, 2, 3, 4])
    expect([ring.size, ring.bytes]).toEqual([2, 2])
    expect(values([ring.takeOne(5), ring.takeOne(6)])).toEqual([5, 6])
    expect([ring.size, ring.bytes]).toEqual([0, 0])
  })

  it('grows while it is wrapped around, and keeps the order', () => {
    const ring = new DeliveryRing<Uint8Array>()
    let pushed = 0
    let taken = 0
    let ordinal = 1
    for (const [push, take] of [
      [12, 10],
      [13, 3],
      [30, 41],
      [300, 150],
      [200, 351],
    ]) {
      pushAll(
        ring,
        Array.from({ length: push }, (_, index) => (pushed + index) & 0xff),
      )
      pushed += push
      const expected = Array.from({ length: take }, (_, index) => (taken + index) & 0xff)
      expect(values(ring.take(take, ordinal))).toEqual(expected)
      taken += take
      ordinal += take
    }
    expect(ring.size).toBe(0)
  })

  it('takes more into the block that it has, drained or not', () => {
    const ring = new DeliveryRing<Uint8Array>()
    const { block: held, columns } = block([1, 2, 3, 4, 5])
    ring.push(held, columns, 0, 2, 0)
    ring.push(held, columns, 2 * ROW_WIDTH, 1, 0)
    expect(values(ring.take(3, 1))).toEqual([1, 2, 3])
    ring.push(held, columns, 3 * ROW_WIDTH, 2, 0)
    expect(values(ring.take(2, 4))).toEqual([4, 5])
  })

  it('moves offsets to where the bytes are now', () => {
    const ring = new DeliveryRing<Uint8Array>()
    const { block: held, columns } = block([7, 8])
    const moved = new Uint8Array(held.bytes.length + 100)
    moved.set(held.bytes, 100)
    ring.push(new DeliveryBlock(owner, moved, 0, null), columns, 0, 2, 100)
    expect(values(ring.take(2, 1))).toEqual([7, 8])
  })

  it('forgets what waits when it is cleared, and goes on', () => {
    const ring = new DeliveryRing<Uint8Array>()
    pushAll(ring, new Array<number>(5_000).fill(1))
    ring.take(10, 1)
    ring.clear()
    expect([ring.size, ring.bytes]).toEqual([0, 0])
    const { block: held, columns } = block([1, 2, 3])
    ring.push(held, columns, 0, 1, 0)
    ring.clear()
    ring.push(held, columns, ROW_WIDTH, 2, 0)
    pushAll(ring, [4])
    expect(values(ring.take(3, 11))).toEqual([2, 3, 4])
  })

  it('refuses to hand out what it does not have', () => {
    const ring = new DeliveryRing<Uint8Array>()
    pushAll(ring, [1])
    expect(() => ring.take(2, 1)).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
    expect(() => ring.takeOne(1)).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
  })
})
