import { readFileSync } from 'node:fs'
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

/** A JSON Schema of 2 KiB as a channel would have it. The counts of instructions in native/core work on the same file. */
export const ORDER_SCHEMA: unknown = JSON.parse(readFileSync(new URL('order-schema.json', import.meta.url), 'utf8'))

/** A size for people. */
export function sizeName(bytes: number): string {
  return bytes < 1024 ? `${bytes} B` : `${bytes / 1024} KiB`
}
