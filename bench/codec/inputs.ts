import type { Publish } from '../../ts/protocol/index.ts'

/** What the codec benchmarks work on. Everything is made the same way in every run. */

/** Payload sizes in bytes. */
export const SIZES = [16, 128, 4096] as const

/** Frames of a chunk: what a socket read of 64 KiB holds of 200-byte frames. */
export const FRAMES_PER_CHUNK = 320

/** A schema id. */
export const SCHEMA_ID: Uint8Array = Uint8Array.from({ length: 32 }, (_byte, index) => index * 7)

/** A Publish to channel `orders` as most are: no key, no causal context, JSON of exactly so many bytes. */
export function publishFrame(payloadBytes: number): Publish {
  const empty = JSON.stringify({ id: '' })
  const payload = Buffer.from(JSON.stringify({ id: 'x'.repeat(payloadBytes - empty.length) }))
  return {
    type: 'Publish',
    flags: 0,
    streamId: 1,
    channel: 'orders',
    envelope: { schemaId: SCHEMA_ID, causal: { parentId: null, vectorClockEntry: null }, payload },
    idempotencyKey: null,
  }
}

/** The same with an idempotency key, as a publisher sends that wants its messages stored once. */
export function keyedPublishFrame(payloadBytes: number, sequence: number): Publish {
  return { ...publishFrame(payloadBytes), flags: 0x02, idempotencyKey: `order-${100_000 + sequence}` }
}

/** A JSON Schema of 2 KiB as a channel would have it. */
export const ORDER_SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  $id: 'https://example.com/schemas/order',
  title: 'Order',
  description: 'An order as the shop accepts it, before it is billed.',
  type: 'object',
  required: ['id', 'customer', 'lines', 'currency', 'total'],
  additionalProperties: false,
  properties: {
    id: { type: 'string', pattern: '^o-[0-9]{1,12}$', description: 'The number of the order.' },
    placedAt: { type: 'string', format: 'date-time' },
    customer: {
      type: 'object',
      required: ['name', 'email'],
      properties: {
        name: { type: 'string', minLength: 1, maxLength: 200 },
        email: { type: 'string', format: 'email', maxLength: 254 },
        phone: { type: 'string', pattern: '^\\+[0-9]{6,15}$' },
        billingAddress: { $ref: '#/$defs/address' },
        deliveryAddress: { $ref: '#/$defs/address' },
      },
    },
    lines: {
      type: 'array',
      minItems: 1,
      maxItems: 1000,
      items: {
        type: 'object',
        required: ['sku', 'quantity', 'price'],
        properties: {
          sku: { type: 'string', pattern: '^[A-Z]{3}-[0-9]{4}$' },
          quantity: { type: 'integer', minimum: 1, maximum: 9999 },
          price: { type: 'number', exclusiveMinimum: 0, multipleOf: 0.01 },
          discount: { type: 'number', minimum: 0, maximum: 0.95, default: 0 },
          note: { type: ['string', 'null'], maxLength: 500, description: 'Printed on the delivery note, as it is.' },
          tags: { type: 'array', items: { type: 'string', maxLength: 40 }, uniqueItems: true, default: [] },
        },
      },
    },
    currency: { type: 'string', enum: ['CHF', 'EUR', 'GBP', 'JPY', 'SEK', 'USD'], default: 'EUR' },
    total: { type: 'number', minimum: 0, maximum: 1e9 },
    channel: { type: 'string', enum: ['web', 'app', 'shop', 'phone'], default: 'web' },
    express: { type: 'boolean', default: false },
  },
  $defs: {
    address: {
      type: 'object',
      required: ['street', 'city', 'country'],
      properties: {
        street: { type: 'string', maxLength: 200 },
        city: { type: 'string', maxLength: 100 },
        zip: { type: 'string', maxLength: 12 },
        country: { type: 'string', pattern: '^[A-Z]{2}$', description: 'ISO 3166-1 alpha-2.' },
      },
    },
  },
}
