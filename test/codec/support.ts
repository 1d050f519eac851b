import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { expect } from 'vitest'
import { loadAddon } from '../../ts/codec/addon.ts'
import type { NativeBinding } from '../../ts/codec/binding.ts'
import { type Codec, typescriptCodec } from '../../ts/codec/index.ts'
import { createNativeCodec } from '../../ts/codec/native.ts'
import { LiminalError } from '../../ts/errors.ts'
import { type Frame, FrameType } from '../../ts/protocol/index.ts'

/** The addon. These tests are about it: without it they fail instead of passing over half of what they are for. */
export const binding: NativeBinding = requireAddon()

const always = { scanBytes: 0, deliverRows: 0, acknowledgements: 0 }

/** Both codecs, by name, for `describe.each`; the native one also in a form that calls the addon for inputs of any size. */
export const codecs: readonly (readonly [string, Codec])[] = [
  ['native', createNativeCodec(binding)],
  ['typescript', typescriptCodec],
  ['always native', createNativeCodec(binding, always)],
]

function requireAddon(): NativeBinding {
  const { binding, attempts } = loadAddon()
  if (binding !== null) return binding
  const tried = attempts.map(({ from, error }) => `${from}: ${error?.message}`)
  throw new Error(`The codec tests need the native addon; run npm run build:native. Tried:\n${tried.join('\n')}`)
}

/** The value that a vector gives, as the codec has it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

interface Marked {
  readonly name: string
  readonly since?: string
  readonly until?: string
}
export interface FrameVector extends Marked {
  readonly kind: 'frame'
  readonly hex: string
  readonly frame: { readonly [key: string]: Json }
}
export interface ErrorVector extends Marked {
  readonly kind: 'decode-error'
  readonly hex: string
  readonly error: string
  readonly reasonCode: number
}
export interface StreamVector extends Marked {
  readonly kind: 'stream'
  readonly hex: string
  readonly offsets: readonly number[]
  readonly frames: readonly { readonly [key: string]: Json }[]
}
export interface SchemaVector extends Marked {
  readonly kind: 'negotiate-schema'
  readonly channelSchema: string
  readonly accepted: readonly string[]
  readonly selected: string | null
  readonly error: string | null
  readonly reasonCode: number | null
}
export interface VersionVector extends Marked {
  readonly kind: 'negotiate-version'
  readonly min: { readonly major: number; readonly minor: number }
  readonly max: { readonly major: number; readonly minor: number }
  readonly supported: readonly { readonly major: number; readonly minor: number }[]
  readonly selected: { readonly major: number; readonly minor: number } | null
  readonly error: string | null
  readonly reasonCode: number | null
}
type Vector = FrameVector | ErrorVector | StreamVector | SchemaVector | VersionVector

const file: { readonly vectors: readonly Vector[] } = JSON.parse(
  readFileSync(new URL('../vectors/wire-v1.json', import.meta.url), 'utf8'),
)
// Vectors marked `until` hold only for a codec without Deliver or without the census (spec wire §1).
const wanted = file.vectors.filter((vector) => vector.until === undefined)

export const frameVectors = wanted.filter((vector) => vector.kind === 'frame')
export const errorVectors = wanted.filter((vector) => vector.kind === 'decode-error')
export const streamVectors = wanted.filter((vector) => vector.kind === 'stream')
export const schemaVectors = wanted.filter((vector) => vector.kind === 'negotiate-schema')
export const versionVectors = wanted.filter((vector) => vector.kind === 'negotiate-version')

export function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/**
 * A frame in the words of the vectors: bytes as hex, u64 as decimal strings, and the two things that vectors leave out or add: `typeId` of every
 * type and `activities` where there is no census.
 */
export function describeFrame(frame: Frame): Json {
  const typeId = frame.type === 'Unknown' ? frame.typeId : FrameType[frame.type]
  return describeValue({ ...frame, typeId })
}

/** A vector's frame with the fields that it may leave out. */
export function expectedFrame(frame: { readonly [key: string]: Json }): Json {
  const { registration } = frame
  if (typeof registration !== 'object' || registration === null) return frame
  return { ...frame, registration: { activities: null, ...registration } }
}

function describeValue(value: unknown): Json {
  if (value instanceof Uint8Array) return toHex(value)
  if (typeof value === 'bigint') return String(value)
  if (Array.isArray(value)) return value.map(describeValue)
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, describeValue(member)]))
  }
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    return value
  }
  throw new TypeError(`A frame has no ${typeof value}`)
}

/** toEqual without its cost for the many that are equal. */
export function expectEqual(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual).toEqual(expected)
}

/** The error that a call throws; fails if it throws none or a foreign one. */
export function errorOf(call: () => unknown): LiminalError {
  try {
    call()
  } catch (error) {
    if (error instanceof LiminalError) return error
    throw error
  }
  throw new Error('The call threw nothing')
}

/** What a frame's call said about the wire: code and, for a ProtocolError, reason. */
export function outcome(error: LiminalError): { code: string; reasonCode: unknown } {
  return { code: error.code, reasonCode: 'reasonCode' in error ? error.reasonCode : null }
}

const u8 = fc.nat(0xff)
const u16 = fc.nat(0xffff)
const u32 = fc.nat(0xffff_ffff)
const u64 = fc.oneof(fc.bigInt(0n, 0xffff_ffff_ffff_ffffn), fc.bigInt(0n, 300n))
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ maxLength: 100 }),
  fc.constantFrom('', '\ufeffx', 'orders', 'a'.repeat(65), 'é'.repeat(70)),
)
const bytes = fc.uint8Array({ maxLength: 80 })
const schema = fc.uint8Array({ minLength: 32, maxLength: 32 })
const version = fc.record({ major: u16, minor: u16 })
const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { nil: null, freq: 2 })
const envelope = fc.record({
  schemaId: schema,
  causal: fc.record({ parentId: optional(text), vectorClockEntry: optional(u64) }),
  payload: bytes,
})
const control = { flags: u8, streamId: fc.constant(0) }
const application = { flags: u8, streamId: fc.integer({ min: 1, max: 0xffff_ffff }) }
const refusal = { reasonCode: u16, message: optional(text) }
const names = fc.array(text, { maxLength: 4 })
const activity = fc.record({ name: text, inputSchemaJson: text, outputSchemaJson: text })
const tagged = <T extends string>(type: T): { type: fc.Arbitrary<T> } => ({ type: fc.constant(type) })

const publish = fc
  .record({ ...tagged('Publish'), ...application, channel: text, envelope, idempotencyKey: optional(text) })
  .map((frame) => ({
    ...frame,
    flags: frame.idempotencyKey === null ? frame.flags & ~0x02 : frame.flags | 0x02,
  }))

/** Any frame that has an encoding. */
export const anyFrame: fc.Arbitrary<Frame> = fc.oneof<fc.Arbitrary<Frame>[]>(
  publish,
  publish,
  fc.record({ ...tagged('Connect'), ...control, minVersion: version, maxVersion: version, authToken: bytes }),
  fc.record({ ...tagged('ConnectAck'), ...control, selectedVersion: version, capabilities: u32 }),
  fc.record({ ...tagged('ConnectError'), ...control, ...refusal }),
  fc.record({ ...tagged('Disconnect'), ...control }),
  fc.record({ ...tagged('Ping'), ...control }),
  fc.record({ ...tagged('Pong'), ...control }),
  fc.record({
    ...tagged('Subscribe'),
    ...application,
    channel: text,
    acceptedSchemas: fc.array(schema, { maxLength: 4 }),
    maxInFlight: fc.integer({ min: 1, max: 0xffff_ffff }),
  }),
  fc.record({ ...tagged('SubscribeAck'), ...application, subscriptionId: u64, selectedSchema: schema }),
  fc.record({ ...tagged('SubscribeError'), ...application, ...refusal }),
  fc.record({ ...tagged('Unsubscribe'), ...application, subscriptionId: u64 }),
  fc.record({ ...tagged('PublishAck'), ...application, messageId: u64 }),
  fc.record({ ...tagged('PublishError'), ...application, ...refusal }),
  fc.record({ ...tagged('Deliver'), ...application, deliverySeq: u64, envelope }),
  fc.record({ ...tagged('ConversationOpen'), ...application, conversationId: u64, subject: text }),
  fc.record({ ...tagged('ConversationMessage'), ...application, conversationId: u64, envelope }),
  fc.record({
    ...tagged('ConversationClose'),
    ...application,
    conversationId: u64,
    reasonCode: optional(u16),
    message: optional(text),
  }),
  fc.record({ ...tagged('ConversationError'), ...application, conversationId: u64, ...refusal }),
  fc.record({ ...tagged('Accept'), ...application, referencedMessageId: text }),
  fc.record({ ...tagged('Defer'), ...application, referencedMessageId: text, reason: optional(text) }),
  fc.record({ ...tagged('Reject'), ...application, referencedMessageId: text, reason: optional(text) }),
  fc.record({ ...tagged('Push'), ...application, correlationId: u64, payload: bytes }),
  fc.record({ ...tagged('PushReply'), ...application, correlationId: u64, payload: bytes }),
  fc.record({
    ...tagged('WorkerRegister'),
    ...control,
    registration: fc.record({
      namespaces: names,
      taskQueue: text,
      node: optional(text),
      activityTypes: names,
      identity: text,
      activities: optional(fc.array(activity, { maxLength: 3 })),
    }),
  }),
  fc.record({
    ...tagged('WorkerRegisterAck'),
    ...control,
    outcome: fc.oneof(
      fc.constant({ status: 'Accepted', reason: null } as const),
      fc.record({ status: fc.constant('Rejected' as const), reason: text }),
    ),
  }),
  fc.record({
    ...tagged('Unknown'),
    flags: u8,
    streamId: u32,
    typeId: fc.constantFrom(0, 0x1a, 0x7f, 0xff),
    payload: bytes,
  }),
)

/** Frames as they come from a busy peer: some repeated several times, so that there are runs. */
export const frameSequence: fc.Arbitrary<Frame[]> = fc
  .array(fc.tuple(anyFrame, fc.integer({ min: 1, max: 3 })), { maxLength: 12 })
  .map((parts) => parts.flatMap(([frame, times]) => Array<Frame>(times).fill(frame)))

interface Mutation {
  readonly at: number
  readonly kind: 'set' | 'flip' | 'insert' | 'remove' | 'length'
  readonly value: number
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  at: fc.nat(4000),
  kind: fc.constantFrom('set', 'flip', 'insert', 'remove', 'length'),
  value: fc.oneof(u8, fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0xff)),
})

/** Bytes that are nearly frames: frames one after the other, changed in a few places and cut. */
export const nearlyFrames: fc.Arbitrary<Uint8Array> = fc
  .tuple(frameSequence, fc.array(mutation, { maxLength: 4 }), fc.oneof(fc.constant(0), fc.nat(60)))
  .map(([frames, mutations, cut]) => {
    let mutated = [...Buffer.concat(frames.map((frame) => typescriptCodec.encode(frame)))]
    for (const change of mutations) mutated = mutate(mutated, change)
    return Uint8Array.from(mutated.slice(0, Math.max(0, mutated.length - cut)))
  })

function mutate(bytes: number[], { at, kind, value }: Mutation): number[] {
  if (bytes.length === 0) return bytes
  const place = at % bytes.length
  switch (kind) {
    case 'set':
      return bytes.with(place, value)
    case 'flip':
      return bytes.with(place, bytes[place] ^ (1 << (value & 7)))
    case 'insert':
      return bytes.toSpliced(place, 0, value)
    case 'remove':
      return bytes.toSpliced(place, 1)
    case 'length':
      // Somewhere in the low half of a header's or a field's length: off by a little.
      return bytes.with(place, (bytes[place] + (value % 5) - 2) & 0xff)
  }
}
