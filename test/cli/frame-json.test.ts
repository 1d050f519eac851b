import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { frameFromJson, frameToJson } from '../../ts/cli/frame-json.ts'
import { decode, encode } from '../../ts/codec/index.ts'

interface FrameVector {
  readonly name: string
  readonly kind: string
  readonly hex: string
  readonly frame: Record<string, unknown>
  readonly until?: string
}

const file: { vectors: FrameVector[] } = JSON.parse(
  readFileSync(new URL('../vectors/wire-v1.json', import.meta.url), 'utf8'),
)
// Bytes that are only an Unknown frame, or a broken registration, to an older codec (spec wire §1).
const vectors = file.vectors.filter(({ kind, until }) => kind === 'frame' && until === undefined)

/** A registration without a census has no field for it in the vectors. */
function withActivities(frame: Record<string, unknown>): unknown {
  if (frame.type !== 'WorkerRegister') return frame
  return { ...frame, registration: { activities: null, ...Object(frame.registration) } }
}

describe('frames as JSON', () => {
  it('covers every frame type in the vectors', () => {
    expect(new Set(vectors.map(({ frame }) => frame.type)).size).toBe(26)
  })

  it.each(vectors.map((vector) => [vector.name, vector] as const))('%s reads like its vector', (_, vector) => {
    const { frame } = decode(Buffer.from(vector.hex, 'hex'))
    expect(frameToJson(frame)).toEqual(withActivities(vector.frame))
  })

  it.each(vectors.map((vector) => [vector.name, vector] as const))(
    '%s encodes from JSON to its own bytes',
    (_, vector) => {
      const json: unknown = JSON.parse(JSON.stringify(vector.frame))
      expect(Buffer.from(encode(frameFromJson(json))).toString('hex')).toBe(vector.hex)
    },
  )

  it('takes flags, the type byte and absent optionals as left out', () => {
    expect(frameFromJson({ type: 'PublishError', streamId: 3, reasonCode: 258 })).toEqual({
      type: 'PublishError',
      flags: 0,
      streamId: 3,
      reasonCode: 258,
      message: null,
    })
  })

  it.each([
    ['no object', 'Ping', 'frame must be a JSON object, not "Ping"'],
    ['an unknown type', { type: 'Pingg', streamId: 0 }, 'frame.type must be "Unknown" or one of Connect,'],
    ['a type byte of another type', { type: 'Ping', typeId: 20, streamId: 0 }, 'frame.typeId must be 19 for Ping'],
    [
      'a stream id past u32',
      { type: 'Ping', streamId: 2 ** 32 },
      'frame.streamId must be an integer from 0 to 4294967295',
    ],
    ['a missing field', { type: 'Unsubscribe', streamId: 1 }, 'frame.subscriptionId must be a decimal string'],
    ['a u64 as a number', { type: 'Unsubscribe', streamId: 1, subscriptionId: 7 }, 'not 7'],
    [
      'a u64 past its end',
      { type: 'Unsubscribe', streamId: 1, subscriptionId: '18446744073709551616' },
      'frame.subscriptionId must be a decimal string',
    ],
    ['a stray field', { type: 'Ping', streamId: 0, channel: 'a' }, 'frame has no field "channel"'],
    [
      'a stray field inside',
      { type: 'ConnectAck', streamId: 0, capabilities: 0, selectedVersion: { major: 1, minor: 0, patch: 0 } },
      'frame.selectedVersion has no field "patch"',
    ],
    ['half a byte', { type: 'Push', streamId: 1, correlationId: '1', payload: 'abc' }, 'pairs of hex digits'],
    [
      'a short schema id',
      { type: 'SubscribeAck', streamId: 1, subscriptionId: '1', selectedSchema: 'ab' },
      'frame.selectedSchema must be 64 hex digits',
    ],
    [
      'an acceptance with a reason',
      { type: 'WorkerRegisterAck', streamId: 0, outcome: { status: 'Accepted', reason: 'no' } },
      'frame.outcome.status must be "Accepted" without a reason',
    ],
    [
      'a list that is none',
      { type: 'Subscribe', streamId: 1, channel: 'a', acceptedSchemas: 'x', maxInFlight: 1 },
      'must be an array',
    ],
  ])('names what is wrong with %s', (_, json, message) => {
    expect(() => frameFromJson(json)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) }),
    )
  })
})
