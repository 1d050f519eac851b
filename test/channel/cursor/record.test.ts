import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeRecord, encodeRecord, RECORD_BYTES } from '../../../ts/channel/cursor/record.ts'
import { MAX_VALUE_BYTES } from '../../../ts/durability/index.ts'

const position = fc.oneof(fc.nat({ max: 1_000 }), fc.nat({ max: 2 ** 31 - 1 }), fc.integer({ min: 0, max: 2 ** 52 }))
const span = fc.record({
  count: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 44 })),
  attempts: fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 2 ** 40 })),
})
const record = fc.record({ epoch: position, owned: fc.boolean(), watermark: position, spans: fc.array(span) })
const name = "cursor 'billing' of channel 'orders'"

describe('the record of a cursor', () => {
  it('reads as it was written', () => {
    fc.assert(
      fc.property(record, (written) => {
        expect(decodeRecord(encodeRecord(written), name)).toEqual(written)
      }),
    )
  })

  it('looks the same for ever', () => {
    const written = {
      epoch: 3,
      owned: true,
      watermark: 300,
      spans: [
        { count: 2, attempts: 130 },
        { count: 70, attempts: 0 },
      ],
    }
    expect(Buffer.from(encodeRecord(written)).toString('hex')).toBe(
      '0101' + '0000000000000003' + '000000000000012c' + '048201' + '8d01',
    )
  })

  it('fits into a value of a store, however much there is to say: the end is left out', () => {
    const spans = Array.from({ length: 60_000 }, (_, index) => ({ count: 1 + (index % 200), attempts: index % 2 }))
    const bytes = encodeRecord({ epoch: 1, owned: true, watermark: 5, spans })
    expect(RECORD_BYTES).toBeLessThan(MAX_VALUE_BYTES)
    expect(bytes.length).toBeLessThanOrEqual(RECORD_BYTES)
    const read = decodeRecord(bytes, name).spans
    expect(read.length).toBeGreaterThan(20_000)
    expect(read).toEqual(spans.slice(0, read.length))
  })

  it('is either read or named as damaged, whatever the bytes are', () => {
    const mostly = fc.tuple(record, fc.nat(), fc.nat({ max: 255 })).map(([written, at, byte]) => {
      const bytes = encodeRecord(written)
      bytes[at % bytes.length] = byte
      return bytes
    })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), mostly), (bytes) => {
        try {
          const read = decodeRecord(bytes, name)
          expect(decodeRecord(encodeRecord(read), name)).toEqual(read)
        } catch (error) {
          expect(['STORE_CORRUPT', 'NOT_SUPPORTED']).toContain((error as { code?: string }).code)
          expect((error as Error).message).toContain(name)
        }
      }),
    )
  })

  it.each([
    ['nothing', ''],
    ['less than a head', '0100000000000000000100000000000000'],
    ['unknown flags', '01020000000000000001000000000000000500'],
    ['a position past all positions', '01000000000000000001ffffffffffffffff'],
    ['a span of nothing', '010000000000000000010000000000000005' + '01'],
    ['a span that was never handed out', '010000000000000000010000000000000005' + '0400'],
    ['a number without an end', '010000000000000000010000000000000005' + '8080'],
    ['a number that is too large', '010000000000000000010000000000000005' + 'ffffffffffffff7f01'],
  ])('is damaged if it is %s', (_, hex) => {
    expect(() => decodeRecord(Buffer.from(hex, 'hex'), name)).toThrow(
      expect.objectContaining({ code: 'STORE_CORRUPT' }),
    )
  })

  it('of a later version is refused as such', () => {
    const later = Buffer.from('02', 'hex')
    expect(() => decodeRecord(later, name)).toThrow(expect.objectContaining({ code: 'NOT_SUPPORTED' }))
  })
})
