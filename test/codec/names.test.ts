import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createNameTable, type NameTable } from '../../ts/codec/index.ts'
import { hashBytes } from '../../ts/codec/names.ts'
import { Column, HEAD_WIDTH, ROW_WIDTH } from '../../ts/protocol/index.ts'
import { binding, codecs, errorOf } from './support.ts'

const [, [, typescript]] = codecs

/** The id that the addon finds for a name, through the scan of a Publish. */
function nativeFind(table: NameTable, name: string): number {
  const frame = typescript.encode({
    type: 'Subscribe',
    flags: 0,
    streamId: 1,
    channel: name,
    acceptedSchemas: [],
    maxInFlight: 1,
  })
  const columns = new Int32Array(HEAD_WIDTH + ROW_WIDTH)
  expect(binding.scanFrames(frame, 0, frame.length, columns, table.memory, 1 << 24)).toBe(1)
  return columns[HEAD_WIDTH + Column.CHANNEL]
}

function find(table: NameTable, name: string): number {
  const bytes = Buffer.from(`--${name}`)
  return table.find(bytes, 2, bytes.length - 2)
}

describe('the name table', () => {
  it('gives ids in the order of adding and the same id for the same name', () => {
    const table = createNameTable()
    expect([table.add('orders'), table.add(''), table.add('bills'), table.add('orders')]).toEqual([0, 1, 2, 0])
    expect(table.size).toBe(3)
    expect(table.name(1)).toBe('')
    expect(table.name(2)).toBe('bills')
    expect(find(table, 'order')).toBe(-1)
  })

  it('keeps every id while it grows, for both codecs', () => {
    const table = createNameTable()
    const first = table.memory
    const names = Array.from({ length: 3000 }, (_name, index) => `channel/${index}/${'é'.repeat(index % 7)}`)
    names.forEach((name, index) => {
      expect(table.add(name)).toBe(index)
    })
    expect(table.memory).not.toBe(first)
    names.forEach((name, index) => {
      expect(find(table, name)).toBe(index)
    })
    for (let index = 0; index < names.length; index += 37) expect(nativeFind(table, names[index])).toBe(index)
    expect(nativeFind(table, 'channel/3000/')).toBe(-1)
  })

  it('tells names with the same hash apart', () => {
    // Two pairs of eight-letter words that FNV-1a maps to one number.
    const [left, right] = collision()
    expect(hashBytes(Buffer.from(left), 0, left.length)).toBe(hashBytes(Buffer.from(right), 0, right.length))
    const table = createNameTable()
    table.add(left)
    expect(find(table, right)).toBe(-1)
    expect(nativeFind(table, right)).toBe(-1)
    table.add(right)
    expect([find(table, left), find(table, right)]).toEqual([0, 1])
    expect([nativeFind(table, left), nativeFind(table, right)]).toEqual([0, 1])
  })

  it('finds in both codecs exactly the names added', () => {
    const name = fc.string({ unit: 'binary', maxLength: 12 })
    fc.assert(
      fc.property(fc.array(name, { maxLength: 60 }), fc.array(name, { maxLength: 10 }), (added, others) => {
        const table = createNameTable()
        for (const one of added) table.add(one)
        const known = [...new Set(added)]
        for (const one of [...added, ...others]) {
          expect(find(table, one)).toBe(known.indexOf(one))
          expect(nativeFind(table, one)).toBe(known.indexOf(one))
        }
      }),
      { numRuns: 200 },
    )
  })

  it('refuses names without a UTF-8 form and ids that it never gave', () => {
    const table = createNameTable()
    expect(errorOf(() => table.add('\ud800')).code).toBe('INVALID_ARGUMENT')
    expect(errorOf(() => table.name(0)).code).toBe('INVALID_ARGUMENT')
    expect(table.size).toBe(0)
  })
})

/** Two different texts with one hash, found by the birthday paradox among a few hundred thousand. */
function collision(): [string, string] {
  const seen = new Map<number, string>()
  for (let index = 0; ; index++) {
    const text = `name-${index.toString(36)}`
    const hash = hashBytes(Buffer.from(text), 0, text.length)
    const other = seen.get(hash)
    if (other !== undefined) return [other, text]
    seen.set(hash, text)
  }
}
