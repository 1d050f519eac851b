import { describe, expect, it } from 'vitest'
import { decodePayload, encodePayload } from '../../ts/payload.ts'

const invalid = expect.objectContaining({ code: 'PAYLOAD_INVALID' })

describe('a payload of JSON', () => {
  it.each([[null], [false], [1.5], ['żółć 🎉'], ['\ud800'], [[1, { a: [] }]], [{ '': { __proto__: null } }]])(
    'carries %j',
    (value) => {
      expect(decodePayload(encodePayload(value, 'json'), 'json')).toEqual(value)
    },
  )

  it('is made by the rules of JSON.stringify', () => {
    const value = { at: new Date(0), skipped: undefined, list: [undefined], toJSON: undefined }
    expect(Buffer.from(encodePayload(value, 'json')).toString()).toBe('{"at":"1970-01-01T00:00:00.000Z","list":[null]}')
  })

  it('cannot be made of what has no JSON form, and says what that was', () => {
    const cycle: unknown[] = []
    cycle.push(cycle)
    let deep: unknown = 0
    for (let depth = 0; depth < 100_000; depth++) deep = [deep]
    for (const value of [undefined, () => 1, Symbol('s'), 1n, cycle, deep]) {
      expect(() => encodePayload(value, 'json')).toThrow(invalid)
    }
    expect(() => encodePayload(undefined, 'json')).toThrow(/undefined/)
  })

  it.each([[''], ['{'], ['1 1'], ['NaN'], ["'a'"], ['\ufeff1']])('is not %j', (text) => {
    expect(() => decodePayload(Buffer.from(text), 'json')).toThrow(invalid)
  })

  it('is strict UTF-8', () => {
    for (const bytes of [
      [0x22, 0x80, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
      [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22],
    ]) {
      expect(() => decodePayload(Uint8Array.from(bytes), 'json')).toThrow(invalid)
    }
  })

  it('gives "__proto__" as a member like any other', () => {
    const value = decodePayload(Buffer.from('{"__proto__":{"admin":true}}'), 'json')
    expect(Object.keys(value as object)).toEqual(['__proto__'])
    expect(value).not.toHaveProperty('admin')
  })
})

describe('a payload of bytes', () => {
  it('is the bytes themselves', () => {
    const bytes = Uint8Array.of(0, 255)
    expect(encodePayload(bytes, 'bytes')).toBe(bytes)
    expect(decodePayload(bytes, 'bytes')).toBe(bytes)
  })

  it('is nothing else', () => {
    for (const value of ['text', [1], new ArrayBuffer(1), new Uint16Array(1), null]) {
      expect(() => encodePayload(value, 'bytes')).toThrow(invalid)
    }
  })
})
