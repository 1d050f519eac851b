import { describe, expect, it } from 'vitest'
import type { Frame } from '../../ts/protocol/index.ts'
import { codecs, errorOf, outcome } from './support.ts'

const schemaId = new Uint8Array(32).fill(1)
const causal = { parentId: null, vectorClockEntry: null }
const envelope = { schemaId, causal, payload: new Uint8Array([1, 2, 3]) }
const publish = { type: 'Publish', flags: 0, streamId: 1, channel: 'orders', envelope, idempotencyKey: null } as const
const subscribe = {
  type: 'Subscribe',
  flags: 0,
  streamId: 1,
  channel: 'orders',
  acceptedSchemas: [schemaId],
  maxInFlight: 1,
} as const
const connect = {
  type: 'Connect',
  flags: 0,
  streamId: 0,
  minVersion: { major: 1, minor: 0 },
  maxVersion: { major: 1, minor: 0 },
  authToken: new Uint8Array(0),
} as const
const unknown = { type: 'Unknown', flags: 0, streamId: 0, typeId: 0x7f, payload: new Uint8Array(0) } as const
const acknowledge = { type: 'PublishAck', flags: 0, streamId: 1, messageId: 1n } as const

/** Frames without a valid encoding: what is wrong, the frame, and the field that the message has to name. */
const refused: readonly (readonly [string, Frame, string])[] = [
  ['flag 0x02 without a key', { ...publish, flags: 0x02 }, 'Publish.idempotencyKey'],
  ['a key without flag 0x02', { ...publish, flags: 0xfd, idempotencyKey: 'k' }, 'Publish.idempotencyKey'],
  ['an empty key without flag 0x02', { ...publish, idempotencyKey: '' }, 'Publish.idempotencyKey'],
  ['maxInFlight 0', { ...subscribe, maxInFlight: 0 }, 'Subscribe.maxInFlight'],
  ['maxInFlight past u32', { ...subscribe, maxInFlight: 2 ** 32 }, 'Subscribe.maxInFlight'],
  ['a short schema id', { ...subscribe, acceptedSchemas: [new Uint8Array(31)] }, 'Subscribe.acceptedSchemas'],
  [
    'a long schema id',
    { ...publish, envelope: { ...envelope, schemaId: new Uint8Array(33) } },
    'Publish.envelope.schemaId',
  ],
  ['an Unknown of a known type', { ...unknown, typeId: 0x13 }, 'Unknown.typeId'],
  ['an Unknown of type Deliver', { ...unknown, typeId: 0x19 }, 'Unknown.typeId'],
  ['an Unknown past u8', { ...unknown, typeId: 0x113 }, 'Unknown.typeId'],
  ['flags past u8', { ...connect, flags: 256 }, 'Connect.flags'],
  ['negative flags', { ...connect, flags: -1 }, 'Connect.flags'],
  ['a stream past u32', { ...publish, streamId: 2 ** 32 }, 'Publish.streamId'],
  ['a fractional stream', { ...publish, streamId: 1.5 }, 'Publish.streamId'],
  ['a version past u16', { ...connect, maxVersion: { major: 65536, minor: 0 } }, 'Connect.maxVersion.major'],
  [
    'a version that is no number',
    { ...connect, minVersion: { major: 0, minor: Number.NaN } },
    'Connect.minVersion.minor',
  ],
  ['an id past u64', { ...acknowledge, messageId: 2n ** 64n }, 'PublishAck.messageId'],
  ['a negative id', { ...acknowledge, messageId: -1n }, 'PublishAck.messageId'],
  [
    'a negative clock',
    { ...publish, envelope: { ...envelope, causal: { ...causal, vectorClockEntry: -1n } } },
    'Publish.envelope.causal.vectorClockEntry',
  ],
  ['a lone high surrogate', { ...publish, channel: 'or\ud800ders' }, 'Publish.channel'],
  ['a lone low surrogate', { ...publish, channel: `${'x'.repeat(100)}\udc00` }, 'Publish.channel'],
  ['surrogates in the wrong order', { ...publish, flags: 2, idempotencyKey: '\udc00\ud800' }, 'Publish.idempotencyKey'],
  [
    'a reason code past u16',
    { type: 'PublishError', flags: 0, streamId: 1, reasonCode: 65536, message: null },
    'PublishError.reasonCode',
  ],
]

describe.each(codecs)('encoding with the %s codec', (_name, codec) => {
  it.each(refused)('refuses %s', (_case, frame, field) => {
    const target = new Uint8Array(400)
    for (const call of [
      () => codec.encode(frame),
      () => codec.encodedLength(frame),
      () => codec.encodeInto(frame, target, 0),
    ]) {
      const error = errorOf(call)
      expect(outcome(error)).toEqual({ code: 'CodecError', reasonCode: 9 })
      expect(error.message.startsWith(`${field}:`)).toBe(true)
    }
    expect(target.every((byte) => byte === 0)).toBe(true)
  })

  it('refuses the wrong stream before anything else', () => {
    for (const frame of [
      { ...publish, streamId: 0, flags: 2 },
      { ...subscribe, streamId: 0, maxInFlight: 0 },
      { ...connect, streamId: 7, flags: 999 },
    ] satisfies Frame[]) {
      const error = errorOf(() => codec.encode(frame))
      expect(outcome(error)).toEqual({ code: 'InvalidStream', reasonCode: 4 })
      expect(error.message.startsWith(`${frame.type}.streamId:`)).toBe(true)
    }
    expect(codec.encode({ ...unknown, streamId: 0 })).toHaveLength(10)
    expect(codec.encode({ ...unknown, streamId: 9 })).toHaveLength(10)
  })

  it('refuses a target that is too small without writing', () => {
    const length = codec.encodedLength(publish)
    for (const [size, offset] of [
      [length - 1, 0],
      [length + 4, 5],
      [10, 20],
    ]) {
      const target = new Uint8Array(size).fill(0xee)
      const error = errorOf(() => codec.encodeInto(publish, target, offset))
      expect(outcome(error)).toEqual({ code: 'CodecError', reasonCode: 9 })
      expect(target.every((byte) => byte === 0xee)).toBe(true)
    }
    for (const offset of [-1, 0.5, Number.NaN]) {
      expect(errorOf(() => codec.encodeInto(publish, new Uint8Array(400), offset)).code).toBe('INVALID_ARGUMENT')
    }
  })

  it('writes exactly its bytes into any Uint8Array', () => {
    const frames: Frame[] = [
      publish,
      { ...publish, channel: 'x'.repeat(90), envelope: { ...envelope, payload: new Uint8Array(300).fill(4) } },
    ]
    for (const frame of frames) {
      const expected = codec.encode(frame)
      const room = new Uint8Array(expected.length + 30).fill(0xee)
      const target = room.subarray(7)
      expect(codec.encodeInto(frame, target, 3)).toBe(expected.length)
      expect(Buffer.from(room.subarray(10, 10 + expected.length)).equals(expected)).toBe(true)
      expect([...room.subarray(0, 10), ...room.subarray(10 + expected.length)].every((byte) => byte === 0xee)).toBe(
        true,
      )
    }
  })

  it('decodes at an offset and refuses one outside the bytes', () => {
    const bytes = Buffer.concat([new Uint8Array(5), codec.encode(publish), new Uint8Array(5)])
    expect(codec.decode(bytes, 5).length).toBe(bytes.length - 10)
    expect(errorOf(() => codec.decode(bytes, bytes.length)).code).toBe('IncompleteHeader')
    for (const offset of [-1, bytes.length + 1, 0.5]) {
      expect(errorOf(() => codec.decode(bytes, offset)).code).toBe('INVALID_ARGUMENT')
    }
  })

  it('names the byte of a broken field', () => {
    const bytes = codec.encode({ ...publish, flags: 2, idempotencyKey: 'key!' })
    bytes[bytes.length - 1] = 0xff
    const error = errorOf(() => codec.decode(Buffer.concat([new Uint8Array(3), bytes]), 3))
    expect(error.message).toContain(`Publish.idempotencyKey at byte ${bytes.length - 4} of the frame`)
  })

  it('keeps byte order marks, NUL and unnormalised text', () => {
    for (const channel of ['\ufefforders', '\ufeff', 'a\u0000b', 'e\u0301', '\uffff', '😀'.repeat(30)]) {
      const { frame } = codec.decode(codec.encode({ ...publish, channel }))
      expect(frame.type === 'Publish' && frame.channel).toBe(channel)
    }
  })

  it('reads the causal context of an envelope and refuses a broken one', () => {
    const context = { parentId: 'p-1', vectorClockEntry: 2n ** 60n }
    const frame = codec.encode({ ...publish, envelope: { ...envelope, causal: context } })
    const bytes = frame.subarray(10 + 4 + 'orders'.length + 4)
    expect(codec.extractCausalContext(bytes)).toEqual(context)
    expect(codec.extractCausalContext(bytes.subarray(0, 32 + 4 + 1 + 7 + 9))).toEqual(context)
    for (const broken of [bytes.subarray(0, 20), bytes.subarray(0, 40), bytes.with(36, 2)]) {
      expect(outcome(errorOf(() => codec.extractCausalContext(broken)))).toEqual({ code: 'CodecError', reasonCode: 9 })
    }
  })

  it('refuses to negotiate with schema ids of the wrong size', () => {
    for (const call of [
      () => codec.negotiateSchema(new Uint8Array(31), []),
      () => codec.negotiateSchema(schemaId, [schemaId, new Uint8Array(33)]),
    ]) {
      expect(errorOf(call).code).toBe('INVALID_ARGUMENT')
    }
  })
})
