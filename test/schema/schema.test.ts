import { describe, expect, it } from 'vitest'
import { codec } from '../../ts/codec/index.ts'
import { type ErrorCode, LiminalError } from '../../ts/errors.ts'
import { Schema, SchemaViolationError } from '../../ts/schema/index.ts'

const ORDER = {
  type: 'object',
  properties: {
    id: { type: 'string' },
    quantity: { type: 'integer', minimum: 1, default: 1 },
    address: { type: 'object', properties: { country: { type: 'string', default: 'PL' } } },
  },
  required: ['id', 'quantity'],
}

function schema(definition: unknown): Schema {
  return new Schema(definition, "channel 'orders'")
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text)
}

/** What is published for a payload. */
function published(definition: unknown, text: string): string {
  const payload = bytes(text)
  return Buffer.from(schema(definition).apply(payload) ?? payload).toString()
}

function thrown(code: ErrorCode, call: () => unknown): LiminalError {
  try {
    call()
  } catch (error) {
    if (!(error instanceof LiminalError)) throw error
    expect(error.code, error.message).toBe(code)
    return error
  }
  throw new Error(`${code} was expected, but nothing was thrown.`)
}

describe('a schema', () => {
  it('has the id that the codec gives its definition', () => {
    expect(schema(ORDER).id).toEqual(codec.schemaId(ORDER))
    expect(schema({ required: ['a'], type: 'object' }).id).toEqual(schema({ type: 'object', required: ['a'] }).id)
  })

  it('says every place where a payload is wrong', () => {
    const error = thrown('PAYLOAD_INVALID', () =>
      schema({ ...ORDER, additionalProperties: false }).apply(bytes('{"id":7,"quantity":0,"a/b~":1}')),
    )
    if (!(error instanceof SchemaViolationError)) throw error
    const found = error.violations.map(({ path, keyword }) => `${keyword} ${path}`).sort()
    expect(found).toEqual(['additionalProperties /a~1b~0', 'minimum /quantity', 'type /id'])
    expect(error.message).toContain("channel 'orders'")
    expect(error.message).toContain('/id must be string')
  })

  it('names the payload itself where it is wrong as a whole', () => {
    const error = thrown('PAYLOAD_INVALID', () => schema(ORDER).apply(bytes('[]')))
    expect(error.message).toContain('(root) must be object')
  })

  it('does not spell out more than a handful of violations', () => {
    const list = { type: 'array', items: { type: 'string' } }
    const error = thrown('PAYLOAD_INVALID', () => schema(list).apply(bytes(JSON.stringify(new Array(100).fill(1)))))
    expect(error.message).toContain('(and 95 more)')
    expect(error.message.length).toBeLessThan(400)
  })

  it('looks for one violation only in a large payload', () => {
    const list = { type: 'array', items: { type: 'string' } }
    const payload = bytes(JSON.stringify(new Array(50_000).fill(1)))
    const error = thrown('PAYLOAD_INVALID', () => schema(list).apply(payload))
    expect(error instanceof SchemaViolationError && error.violations).toHaveLength(1)
  })

  it('leaves a payload alone where it fills nothing', () => {
    expect(schema(ORDER).apply(bytes(' {"quantity":1.0, "id":"x", "address": {"country":"DE"}} '))).toBeNull()
    expect(schema({ type: 'number' }).apply(bytes('1e2'))).toBeNull()
  })

  it('fills defaults before it checks, also nested ones', () => {
    expect(published(ORDER, '{"id":"x","address":{}}')).toBe('{"id":"x","address":{"country":"PL"},"quantity":1}')
    const list = { type: 'array', items: { properties: { unit: { default: 'kg' } } } }
    expect(published(list, '[{}, {"unit":"g"}]')).toBe('[{"unit":"kg"},{"unit":"g"}]')
  })

  it('keeps null where a default stands for something missing', () => {
    const nullable = { properties: { note: { default: 'none' } } }
    expect(published(nullable, '{ "note": null }')).toBe('{ "note": null }')
  })

  it('does not fill defaults that hold only under a condition', () => {
    expect(published({ anyOf: [{ properties: { a: { default: 1 } } }] }, '{}')).toBe('{}')
    expect(published({ prefixItems: [{}, { default: 2 }] }, '[1]')).toBe('[1]')
  })

  it('fills each payload with a default of its own', () => {
    const tags = schema({ properties: { tags: { default: [] } } })
    expect(Buffer.from(tags.apply(bytes('{}')) ?? []).toString()).toBe('{"tags":[]}')
    expect(Buffer.from(tags.apply(bytes('{}')) ?? []).toString()).toBe('{"tags":[]}')
  })

  it('may be a boolean', () => {
    expect(schema(true).apply(bytes('[1,"two"]'))).toBeNull()
    thrown('PAYLOAD_INVALID', () => schema(false).apply(bytes('1')))
  })

  it('takes unknown keywords and formats as annotations', () => {
    expect(schema({ type: 'string', format: 'colour', 'x-owner': 'shop' }).apply(bytes('"red"'))).toBeNull()
  })

  it.each([
    ['text that is no JSON', 'not json'],
    ['two JSON texts', '1 2'],
    ['nothing', ''],
    ['a byte order mark', '\ufeff1'],
  ])('refuses %s', (_what, text) => {
    thrown('PAYLOAD_INVALID', () => schema(true).apply(bytes(text)))
  })

  it.each([
    ['a bad lead byte', [0x22, 0xff, 0x22]],
    ['a surrogate', [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ['an overlong form', [0x22, 0xc0, 0x80, 0x22]],
    ['a truncated sequence', [0x22, 0xe2, 0x82, 0x22]],
  ])('refuses UTF-8 with %s', (_what, raw) => {
    thrown('PAYLOAD_INVALID', () => schema(true).apply(Uint8Array.from(raw)))
  })

  it.each([
    ['a number', 7],
    ['null', null],
    ['an array', []],
    ['an unknown type', { type: 'strnig' }],
    ['a broken keyword', { minimum: 'one' }],
    ['a broken pattern', { pattern: '(' }],
    ['a remote reference', { $ref: 'https://example.com/order.json' }],
    ['a dangling reference', { $ref: '#/$defs/missing' }],
    ['another draft', { $schema: 'http://json-schema.org/draft-07/schema#', type: 'string' }],
    ['asynchronous validation', { $async: true, type: 'string' }],
    ['the name __proto__', JSON.parse('{"properties":{"__proto__":{"type":"string"}}}')],
    ['something that is no JSON', { default: 1n }],
  ])('cannot be %s', (_what, definition) => {
    thrown('SCHEMA_INVALID', () => schema(definition))
  })

  it('says why it cannot be used', () => {
    expect(thrown('SCHEMA_INVALID', () => schema({ type: 'strnig' })).message).toContain('type')
    const message = thrown('SCHEMA_INVALID', () => schema({ $ref: '#/$defs/missing' })).message
    expect(message).toContain("channel 'orders'")
    expect(message).toContain('#/$defs/missing')
  })

  it('may name its draft, refer within itself, and share an $id with another', () => {
    const tree = {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $id: 'https://example.com/tree',
      type: 'object',
      properties: { children: { type: 'array', items: { $ref: '#' } } },
    }
    thrown('PAYLOAD_INVALID', () => schema(tree).apply(bytes('{"children":[{"children":[7]}]}')))
    expect(schema({ $id: 'https://example.com/tree', type: 'string' }).apply(bytes('"x"'))).toBeNull()
    thrown('SCHEMA_INVALID', () => schema({ $ref: 'https://example.com/tree' }))
  })

  it('is not changed by changing what it was made of', () => {
    const definition = { type: 'object', required: ['id'], properties: { kind: { enum: ['a'] } } }
    const made = schema(definition)
    definition.properties.kind.enum.push('b')
    definition.required.length = 0
    thrown('PAYLOAD_INVALID', () => made.apply(bytes('{"id":1,"kind":"b"}')))
    thrown('PAYLOAD_INVALID', () => made.apply(bytes('{}')))
  })

  it('takes only what was sent as present, whatever objects inherit', () => {
    const needs = (name: string): Schema => schema({ type: 'object', required: [name] })
    thrown('PAYLOAD_INVALID', () => needs('constructor').apply(bytes('{}')))
    thrown('PAYLOAD_INVALID', () => needs('toString').apply(bytes('{}')))
    thrown('PAYLOAD_INVALID', () => needs('id').apply(bytes('{"__proto__":{"id":1}}')))
    expect(needs('constructor').apply(bytes('{"constructor":1}'))).toBeNull()
  })

  it('never writes into a prototype', () => {
    const closed = schema({ properties: { role: { default: 'guest' } } })
    const filled = closed.apply(bytes('{"__proto__":{"role":"admin"}}'))
    expect(JSON.parse(Buffer.from(filled ?? []).toString())).toHaveProperty('role', 'guest')
    expect(Object.prototype).not.toHaveProperty('role')
    expect({}).not.toHaveProperty('role')
  })

  it('survives a payload that is nested too deeply for it', () => {
    const tree = { $id: 'tree', items: { $ref: '#' }, properties: { a: { default: 1 } } }
    const deep = bytes('['.repeat(200_000) + ']'.repeat(200_000))
    thrown('PAYLOAD_INVALID', () => schema(tree).apply(deep))
    expect(schema(true).apply(deep)).toBeNull()
  })
})
