import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createNameTable, type NameTable, typescriptCodec } from '../../ts/codec/index.ts'
import { scanFrames } from '../../ts/codec/scan.ts'
import { ProtocolError } from '../../ts/errors.ts'
import { DEFAULT_MAX_FRAME_BYTES, HEAD_WIDTH, Head, ROW_WIDTH, ScanStatus } from '../../ts/protocol/index.ts'
import {
  anyFrame,
  binding,
  codecs,
  describeFrame,
  errorVectors,
  expectEqual,
  frameSequence,
  frameVectors,
  fromHex,
  nearlyFrames,
  streamVectors,
} from './support.ts'

// fast-check prints seed and path of a failure; FC_SEED=<seed> runs that seed again.
const seed = process.env.FC_SEED === undefined ? {} : { seed: Number(process.env.FC_SEED) }
const often = { numRuns: 4000, ...seed }

const names = createNameTable()
for (const name of ['orders', '', '\ufeffx', 'é'.repeat(70), 'a'.repeat(65)]) names.add(name)

function scans(bytes: Uint8Array, rows: number, maxFrameBytes: number, start = 0, table: NameTable = names) {
  const length = HEAD_WIDTH + rows * ROW_WIDTH
  // Old numbers in the columns, as in a decoder that reuses them: what is not written shows.
  const native = new Int32Array(length).fill(-77)
  const typescript = new Int32Array(length).fill(-77)
  const nativeCount = binding.scanFrames(bytes, start, bytes.length, native, table.memory, maxFrameBytes)
  const count = scanFrames(bytes, start, bytes.length, typescript, table, maxFrameBytes)
  return { native, typescript, nativeCount, count }
}

function expectSameScan(bytes: Uint8Array, rows = 64, maxFrameBytes = DEFAULT_MAX_FRAME_BYTES, start = 0): void {
  const { native, typescript, nativeCount, count } = scans(bytes, rows, maxFrameBytes, start)
  expect(nativeCount).toBe(count)
  expectSameNumbers(native, typescript)
}

/** toEqual for typed arrays, without its cost for the many that are equal. */
function expectSameNumbers(left: Uint8Array | Int32Array, right: Uint8Array | Int32Array): void {
  const [leftBytes, rightBytes] = [left, right].map(({ buffer, byteOffset, byteLength }) =>
    Buffer.from(buffer, byteOffset, byteLength),
  )
  if (!leftBytes.equals(rightBytes)) expect([...left]).toEqual([...right])
}

/** Decoding and encoding in TypeScript, in the terms of the addon's transcodeFrame. */
function transcoded(bytes: Uint8Array): number | Uint8Array {
  try {
    return typescriptCodec.encode(typescriptCodec.decode(bytes).frame)
  } catch (error) {
    if (error instanceof ProtocolError) return -error.reasonCode
    throw error
  }
}

function expectSameTranscoding(bytes: Uint8Array): void {
  const target = new Uint8Array(bytes.length + 64)
  const written = binding.transcodeFrame(bytes, target)
  const expected = transcoded(bytes)
  if (typeof expected === 'number') expect(written).toBe(expected)
  else expectSameNumbers(target.subarray(0, written), expected)
}

describe('the scans of both codecs', () => {
  it('write the same columns for every vector', () => {
    for (const { hex } of [...frameVectors, ...errorVectors, ...streamVectors]) expectSameScan(fromHex(hex))
  })

  it('write the same columns for any sequence of frames', () => {
    fc.assert(
      fc.property(frameSequence, fc.nat(40), (frames, rows) => {
        expectSameScan(Buffer.concat(frames.map(typescriptCodec.encode)), rows)
      }),
      often,
    )
  })

  it('write the same columns for mutated and truncated frames, any start and any cap', () => {
    const cap = fc.oneof(fc.constant(DEFAULT_MAX_FRAME_BYTES), fc.integer({ min: 10, max: 200 }))
    fc.assert(
      fc.property(nearlyFrames, fc.integer({ min: 1, max: 40 }), cap, fc.nat(30), (bytes, rows, maximum, skip) => {
        expectSameScan(bytes, rows, maximum, Math.min(skip, bytes.length))
      }),
      often,
    )
  })

  it('write the same columns for random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => expectSameScan(bytes)),
      often,
    )
  })

  it('accept exactly what decoding frame by frame accepts', () => {
    fc.assert(
      fc.property(nearlyFrames, (bytes) => {
        const { typescript, count } = scans(bytes, 100, DEFAULT_MAX_FRAME_BYTES)
        let offset = 0
        for (let row = 0; row < count; row++) offset += typescriptCodec.decode(bytes, offset).length
        expect(typescript[Head.CONSUMED]).toBe(offset)
        const status = typescript[Head.STATUS]
        if (status === ScanStatus.COMPLETE) expect(offset).toBe(bytes.length)
        else if (status === ScanStatus.MALFORMED)
          expect(transcoded(bytes.subarray(offset))).toBe(-typescript[Head.DETAIL])
        else if (status === ScanStatus.PARTIAL) {
          expect([-1, -2]).toContain(transcoded(bytes.subarray(offset)))
        } else expect(status).toBe(ScanStatus.TOO_LARGE)
      }),
      often,
    )
  })

  it('cut a long run at the rows that there are', () => {
    const publish = typescriptCodec.encode({
      type: 'PublishAck',
      flags: 1,
      streamId: 0xffff_fff1,
      messageId: 0xffff_ffff_ffff_ffffn,
    })
    const chunk = Buffer.concat(Array<Uint8Array>(50).fill(publish))
    for (let rows = 0; rows <= 51; rows++) expectSameScan(chunk, rows)
  })
})

describe('the single-frame codecs of both languages', () => {
  it('transcode every vector alike', () => {
    for (const { hex } of [...frameVectors, ...errorVectors, ...streamVectors]) expectSameTranscoding(fromHex(hex))
  })

  it('transcode any frame to its own bytes', () => {
    fc.assert(
      fc.property(anyFrame, (frame) => {
        const bytes = typescriptCodec.encode(frame)
        expectEqual(describeFrame(typescriptCodec.decode(bytes).frame), describeFrame(frame))
        const target = new Uint8Array(bytes.length)
        expect(binding.transcodeFrame(bytes, target)).toBe(bytes.length)
        expectSameNumbers(target, bytes)
      }),
      often,
    )
  })

  it('transcode mutated, truncated and random bytes alike, error for error', () => {
    fc.assert(fc.property(fc.oneof(nearlyFrames, fc.uint8Array({ maxLength: 120 })), expectSameTranscoding), {
      ...often,
      numRuns: 8000,
    })
  })

  it('transcode every single-byte change of every vector alike', () => {
    for (const { hex } of frameVectors) {
      const bytes = fromHex(hex)
      if (bytes.length > 120) continue
      for (let at = 0; at < bytes.length; at++) {
        for (const value of [0x00, 0x01, 0x02, 0x7f, 0x80, 0xc0, 0xff, bytes[at] ^ 1]) {
          expectSameTranscoding(bytes.with(at, value))
          expectSameScan(bytes.with(at, value))
        }
      }
    }
  })
})

describe('the decoders of both codecs', () => {
  it('give the same frames and the same error for any bytes in any chunks', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 900 }), { maxLength: 8 })
    fc.assert(
      fc.property(
        nearlyFrames,
        cuts,
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 20 }),
        (part, sizes, rows, times) => {
          // Repeated, so that chunks lie on both sides of the size from which the native scan is called.
          const bytes = Buffer.concat(Array<Uint8Array>(times).fill(part))
          const [native, typescript, always] = codecs.map(([, codec]) => {
            const decoder = new codec.FrameDecoder({ rows, names, maxFrameBytes: 2000 })
            const events: unknown[] = []
            try {
              let at = 0
              for (let index = 0; at < bytes.length; index++) {
                const size = sizes.length === 0 ? bytes.length : sizes[index % sizes.length]
                const chunk = bytes.subarray(at, at + size)
                for (const frame of decoder.frames(chunk)) events.push(describeFrame(frame))
                at += chunk.length
              }
              decoder.end()
            } catch (error) {
              if (!(error instanceof ProtocolError)) throw error
              events.push([error.code, error.reasonCode, error.message])
            }
            return events
          })
          expectEqual(native, typescript)
          expectEqual(always, typescript)
        },
      ),
      { ...often, numRuns: 1500 },
    )
  })
})

describe('the run encoders of both codecs', () => {
  const [native, typescript, always] = codecs.map(([, codec]) => codec)

  it('write the same Deliver frames for the rows of any scan', () => {
    const sequence = fc.bigInt(0n, 0xffff_ffff_ffff_ff00n)
    fc.assert(
      fc.property(
        frameSequence,
        fc.integer({ min: 1, max: 0xffff_ffff }),
        sequence,
        fc.nat(9),
        (frames, stream, first, gap) => {
          const enveloped = frames.filter((frame) => 'envelope' in frame)
          const decoder = new typescriptCodec.FrameDecoder()
          decoder.push(Buffer.concat(enveloped.map(typescriptCodec.encode)))
          const rows = decoder.next()
            ? decoder.batch
            : { ...decoder.batch, columns: decoder.batch.columns, bytes: new Uint8Array(0), count: 0 }
          const schemaId = new Uint8Array(32).fill(7)
          const length = native.deliverRunLength(rows, 0, rows.count)
          const [left, right, third] = [native, typescript, always].map((codec) => {
            const target = new Uint8Array(length + 2 * gap)
            expect(codec.encodeDeliverRun(rows, 0, rows.count, stream, first, schemaId, target, gap)).toBe(length)
            return target
          })
          expectSameNumbers(left, right)
          expectSameNumbers(third, right)
          const delivered = [...new typescriptCodec.FrameDecoder().frames(left.subarray(gap, gap + length))]
          expectEqual(
            delivered.map(describeFrame),
            enveloped.map((frame, index) =>
              describeFrame({
                type: 'Deliver',
                flags: 0,
                streamId: stream,
                deliverySeq: first + BigInt(index),
                envelope: { ...frame.envelope, schemaId },
              }),
            ),
          )
        },
      ),
      { ...often, numRuns: 1500 },
    )
  })

  it('write the same PublishAck frames', () => {
    const ids = fc.oneof(fc.bigInt(0n, 0xffff_ffff_ffff_0000n), fc.constant(0xffff_fff8n))
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 0xffff_ffff }),
        fc.nat(255),
        ids,
        fc.nat(60),
        (stream, flags, first, count) => {
          const [left, right, third] = [native, typescript, always].map((codec) => {
            const target = new Uint8Array(count * 18 + 5)
            expect(codec.encodePublishAckRun(stream, flags, first, count, target, 3)).toBe(count * 18)
            return target
          })
          expectSameNumbers(left, right)
          expectSameNumbers(third, right)
          const acks = [...new typescriptCodec.FrameDecoder().frames(left.subarray(3, 3 + count * 18))]
          expectEqual(
            acks,
            Array.from({ length: count }, (_ack, index) => ({
              type: 'PublishAck',
              flags,
              streamId: stream,
              messageId: first + BigInt(index),
            })),
          )
        },
      ),
      often,
    )
  })
})
