import { describe, expect, it } from 'vitest'
import { oneMessageRun } from '../../ts/channel/index.ts'
import { Column, HEAD_WIDTH } from '../../ts/protocol/index.ts'
import { deliversOf } from './runs.ts'

const SCHEMA_ID = new Uint8Array(32).fill(7)

describe('a run of one message', () => {
  it.each([
    [null, null],
    ['p', null],
    ['', 0n],
    [null, 2n ** 64n - 1n],
    ['żółć'.repeat(100), 5n],
  ])('is delivered as it was made, caused by %s and %s', (parentId, vectorClockEntry) => {
    const payload = Uint8Array.of(1, 2, 255)
    const [deliver] = deliversOf(oneMessageRun(payload, { parentId, vectorClockEntry }, 'key'), SCHEMA_ID)
    expect(deliver.envelope.causal).toEqual({ parentId, vectorClockEntry })
    expect([...deliver.envelope.payload]).toEqual([1, 2, 255])
    expect([...deliver.envelope.schemaId]).toEqual([...SCHEMA_ID])
  })

  it('carries its idempotency key, also an empty one, or none', () => {
    const keyOf = (key: string | null): string | null => {
      const { bytes, columns } = oneMessageRun(new Uint8Array(3), null, key)
      const length = columns[HEAD_WIDTH + Column.KEY_LENGTH]
      const at = columns[HEAD_WIDTH + Column.KEY]
      return length < 0 ? null : Buffer.from(bytes.subarray(at, at + length)).toString()
    }
    expect(keyOf('ключ')).toBe('ключ')
    expect(keyOf('')).toBe('')
    expect(keyOf(null)).toBeNull()
  })

  it('shares nothing with the runs made after it', () => {
    const runs = Array.from({ length: 600 }, (_, index) => oneMessageRun(Buffer.from(`message ${index}`), null, null))
    runs.forEach((run, index) => {
      const [deliver] = deliversOf(run, SCHEMA_ID)
      expect(Buffer.from(deliver.envelope.payload).toString()).toBe(`message ${index}`)
    })
  })

  it('cannot be made of what has no place on the wire', () => {
    const payload = new Uint8Array(0)
    const parent =
      (parentId: string): (() => unknown) =>
      () =>
        oneMessageRun(payload, { parentId, vectorClockEntry: null }, null)
    expect(parent('\ud800')).toThrow(/parentId/)
    expect(() => oneMessageRun(payload, null, '\udc00')).toThrow(/idempotencyKey/)
    expect(() => oneMessageRun(payload, { parentId: null, vectorClockEntry: 2n ** 64n }, null)).toThrow(/vectorClock/)
  })
})
