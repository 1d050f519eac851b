import { describe, expect, it } from 'vitest'
import type { Codec, FrameDecoderOptions } from '../../ts/codec/index.ts'
import { DEFAULT_MAX_FRAME_BYTES } from '../../ts/protocol/index.ts'
import {
  binding,
  codecs,
  describeFrame,
  errorOf,
  errorVectors,
  expectEqual,
  expectedFrame,
  frameVectors,
  fromHex,
  outcome,
  schemaVectors,
  streamVectors,
  toHex,
  versionVectors,
} from './support.ts'

describe.each(codecs)('the %s codec and the golden vectors', (_name, codec) => {
  it.each(frameVectors.map((vector) => [vector.name, vector] as const))('reads and writes %s', (_case, vector) => {
    const bytes = fromHex(vector.hex)
    const { frame, length } = codec.decode(bytes)
    expect(length).toBe(bytes.length)
    expect(describeFrame(frame)).toEqual(expectedFrame(vector.frame))
    expect(toHex(codec.encode(frame))).toBe(vector.hex)
    expect(codec.encodedLength(frame)).toBe(bytes.length)
  })

  it.each(frameVectors.map((vector) => [vector.name, vector] as const))('streams %s', (_case, vector) => {
    expectEqual(streamed(codec, [fromHex(vector.hex)]), [expectedFrame(vector.frame)])
    // Enough of them in one chunk for the scan of the codec itself, not only its way with small chunks.
    const times = Math.ceil(4096 / (vector.hex.length / 2))
    const frames = streamed(codec, [fromHex(vector.hex.repeat(times))])
    expectEqual(frames, Array(times).fill(expectedFrame(vector.frame)))
  })

  it.each(errorVectors.map((vector) => [vector.name, vector] as const))('refuses %s', (_case, vector) => {
    const error = errorOf(() => codec.decode(fromHex(vector.hex)))
    expect(outcome(error)).toEqual({ code: vector.error, reasonCode: vector.reasonCode })
    expect(error.message).toMatch(/byte|header|streamId|payload/)
  })

  it.each(errorVectors.map((vector) => [vector.name, vector] as const))('refuses %s in a stream', (_case, vector) => {
    const bytes = fromHex(vector.hex)
    // The empty stream has a clean end; as a buffer it lacks a header.
    if (bytes.length === 0) {
      expect(streamed(codec, [bytes])).toEqual([])
      return
    }
    const reading = errorOf(() => streamed(codec, [bytes], { maxFrameBytes: 0x7fff_ffff }))
    const declared = bytes.length < 10 ? 0 : Buffer.from(bytes).readUInt32BE(6)
    if (declared + 10 > 0x7fff_ffff) expect(outcome(reading)).toEqual({ code: 'FrameTooLarge', reasonCode: 9 })
    else expect(outcome(reading)).toEqual({ code: vector.error, reasonCode: vector.reasonCode })

    const padding = '13000000000000000000'.repeat(500)
    const behindOthers = errorOf(() => streamed(codec, [fromHex(padding + vector.hex)]))
    if (declared + 10 > DEFAULT_MAX_FRAME_BYTES) expect(behindOthers.code).toBe('FrameTooLarge')
    else expect(outcome(behindOthers)).toEqual({ code: vector.error, reasonCode: vector.reasonCode })
  })

  it.each(streamVectors.map((vector) => [vector.name, vector] as const))('reads %s cut anywhere', (_case, vector) => {
    const bytes = fromHex(vector.hex)
    const expected = vector.frames.map(expectedFrame)
    for (let cut = 0; cut <= bytes.length; cut++) {
      expectEqual(streamed(codec, [bytes.slice(0, cut), bytes.slice(cut)]), expected)
    }
    const single = Array.from(bytes, (_byte, at) => bytes.slice(at, at + 1))
    expectEqual(streamed(codec, single), expected)
  })

  it.each(streamVectors.map((vector) => [vector.name, vector] as const))(
    'decodes %s frame by frame',
    (_case, vector) => {
      const bytes = fromHex(vector.hex)
      const starts: number[] = []
      for (let offset = 0; offset < bytes.length; ) {
        starts.push(offset)
        const { frame, length } = codec.decode(bytes, offset)
        expect(describeFrame(frame)).toEqual(expectedFrame(vector.frames[starts.length - 1]))
        offset += length
      }
      expect(starts).toEqual(vector.offsets)
    },
  )

  it.each(schemaVectors.map((vector) => [vector.name, vector] as const))('answers %s', (_case, vector) => {
    const negotiate = () => codec.negotiateSchema(fromHex(vector.channelSchema), vector.accepted.map(fromHex))
    if (vector.error === null) expect(toHex(negotiate())).toBe(vector.selected)
    else expect(outcome(errorOf(negotiate))).toEqual({ code: vector.error, reasonCode: vector.reasonCode })
  })

  it.each(versionVectors.map((vector) => [vector.name, vector] as const))('answers %s', (_case, vector) => {
    const negotiate = () => codec.negotiateVersion(vector.min, vector.max, vector.supported)
    if (vector.error === null) expect(negotiate()).toEqual(vector.selected)
    else expect(outcome(errorOf(negotiate))).toEqual({ code: vector.error, reasonCode: vector.reasonCode })
  })
})

describe('the addon itself and the golden vectors', () => {
  it.each(frameVectors.map((vector) => [vector.name, vector] as const))('transcodes %s', (_case, vector) => {
    const bytes = fromHex(vector.hex)
    const target = new Uint8Array(bytes.length)
    expect(binding.transcodeFrame(bytes, target)).toBe(bytes.length)
    expect(toHex(target)).toBe(vector.hex)
  })

  it.each(errorVectors.map((vector) => [vector.name, vector] as const))('refuses %s', (_case, vector) => {
    const bytes = fromHex(vector.hex)
    expect(binding.transcodeFrame(bytes, new Uint8Array(bytes.length + 64))).toBe(-vector.reasonCode)
  })

  it.each(schemaVectors.map((vector) => [vector.name, vector] as const))('answers %s', (_case, vector) => {
    const accepted = new Uint8Array(Buffer.concat(vector.accepted.map(fromHex)))
    expect(binding.negotiateSchema(fromHex(vector.channelSchema), accepted)).toBe(vector.reasonCode ?? 0)
  })

  it.each(versionVectors.map((vector) => [vector.name, vector] as const))('answers %s', (_case, vector) => {
    const { min, max, selected } = vector
    const supported = Buffer.alloc(4 * vector.supported.length)
    vector.supported.forEach(({ major, minor }, index) => {
      supported.writeUInt16BE(major, 4 * index)
      supported.writeUInt16BE(minor, 4 * index + 2)
    })
    const expected = selected === null ? -1 : selected.major * 0x1_0000 + selected.minor
    expect(binding.negotiateVersion(min.major, min.minor, max.major, max.minor, supported)).toBe(expected)
  })
})

function streamed(codec: Codec, chunks: readonly Uint8Array[], options: FrameDecoderOptions = {}): unknown[] {
  const decoder = new codec.FrameDecoder(options)
  const frames: unknown[] = []
  for (const chunk of chunks) {
    for (const frame of decoder.frames(chunk)) frames.push(describeFrame(frame))
  }
  decoder.end()
  return frames
}
