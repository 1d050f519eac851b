import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { binding, codecs, errorOf, toHex } from './support.ts'

const [[, native], [, typescript]] = codecs

function nested(depth: number): unknown {
  let value: unknown = 1
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { a: value }
  return value
}

function cyclic(): unknown {
  const value: { self?: unknown } = {}
  value.self = [value]
  return value
}

describe.each(codecs)('schema ids of the %s codec', (_name, codec) => {
  it('are SHA-256 of the canonical form', () => {
    const canonical =
      '{"$id":"x","properties":{"a":{"type":"number"},"é":{"minimum":1e-7}},"required":["é","a"],"type":"object"}'
    const id = codec.schemaId({
      type: 'object',
      required: ['é', 'a'],
      properties: { é: { minimum: 0.0000001 }, a: { type: 'number' } },
      $id: 'x',
    })
    expect(toHex(id)).toBe(createHash('sha256').update(canonical, 'utf8').digest('hex'))
  })

  it('write numbers and order keys as RFC 8785 says', () => {
    const canonical =
      '{"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27,0,0,5e-324,1.7976931348623157e+308],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/","\u20ac":1,"\ud83d\ude00":2,"\ufb33":3}'
    const id = codec.schemaId({
      // In UTF-16 the emoji sorts before the Hebrew letter, by code points after it.
      '\ufb33': 3,
      '\ud83d\ude00': 2,
      '\u20ac': 1,
      numbers: [
        333333333.3333333, 1e30, 4.5, 2e-3, 0.000000000000000000000000001, -0, 0, 5e-324, 1.7976931348623157e308,
      ],
      string: '€$\u000f\nA\'B"\\\\"/',
    })
    expect(toHex(id)).toBe(createHash('sha256').update(canonical, 'utf8').digest('hex'))
  })

  it('mean the value that JSON.stringify makes', () => {
    const date = new Date(0)
    const id = toHex(
      codec.schemaId({
        a: undefined,
        f: () => 1,
        s: Symbol('x'),
        default: date,
        size: Object(3),
        b: { toJSON: () => ({ c: 1 }) },
      }),
    )
    expect(id).toBe(toHex(codec.schemaId({ default: date.toISOString(), size: 3, b: { c: 1 } })))
    expect(toHex(codec.schemaId(true))).toBe(createHash('sha256').update('true').digest('hex'))
  })

  it.each([
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a bigint', 1n],
    ['a bigint inside', { a: [1n] }],
    ['a function in an array', { a: [() => 1] }],
    ['undefined in an array', [undefined]],
    ['NaN beside null', { default: null, maximum: Number.NaN }],
    ['NaN', Number.NaN],
    ['infinity inside', { maximum: Number.POSITIVE_INFINITY }],
    ['a cycle', cyclic()],
    ['nesting over 256', nested(257)],
    ['nesting over 256 from toJSON', { toJSON: () => nested(257) }],
    ['a lone surrogate', 'a\ud800'],
    ['a lone surrogate in a key', { properties: { '\udc00x': {} } }],
    ['a lone surrogate behind an escaped one', ['\\ud800', '\ud800']],
  ])('refuse %s', (_case, value) => {
    const error = errorOf(() => codec.schemaId(value))
    expect(error.code).toBe('SCHEMA_INVALID')
    expect(error.message).toMatch(/^The JSON Schema cannot be given an id: /)
  })

  it('take nesting of 256, texts that look like lone surrogates, and U+FFFD', () => {
    expect(codec.schemaId(nested(256))).toHaveLength(32)
    expect(codec.schemaId(['\\ud800', '\ud83d\ude00', '\ufffd'])).toHaveLength(32)
  })
})

describe('schema ids of both codecs', () => {
  it('are the same for any JSON', () => {
    const value = fc.jsonValue({ stringUnit: 'binary', maxDepth: 5, noUnicodeString: false })
    fc.assert(
      fc.property(
        fc.oneof(value, fc.jsonValue({ maxDepth: 3 }), fc.double({ noNaN: true, noDefaultInfinity: true })),
        (json) => {
          expect(toHex(native.schemaId(json))).toBe(toHex(typescript.schemaId(json)))
        },
      ),
      { numRuns: 3000 },
    )
  })

  it('agree on anything that is no JSON either', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withBoxedValues: true, withSparseArray: true }),
        (value) => {
          const [left, right] = [native, typescript].map((codec) => {
            try {
              return toHex(codec.schemaId(value))
            } catch (error) {
              return String(error)
            }
          })
          expect(left).toBe(right)
        },
      ),
      { numRuns: 3000 },
    )
  })

  it('come from the addon with a code for each refusal', () => {
    const target = new Uint8Array(32)
    expect(binding.schemaId('{"a":1}', target)).toBe(0)
    expect(binding.schemaId('{"a":1,}', target)).toBe(-1)
    expect(binding.schemaId('', target)).toBe(-1)
    expect(binding.schemaId(JSON.stringify(nested(256)), target)).toBe(0)
    expect(binding.schemaId(JSON.stringify(nested(257)), target)).toBe(-2)
    expect(binding.schemaId('"\\ud800"', target)).toBe(-3)
    expect(binding.schemaId('"\ud800"', target)).toBe(-3)
  })
})
