import { describe, expect, it } from 'vitest'
import type { Codec, FrameRows } from '../../ts/codec/index.ts'
import { type Frame, PUBLISH_HAS_KEY } from '../../ts/protocol/index.ts'
import { codecs, errorOf } from './support.ts'

const schemaId = new Uint8Array(32).fill(3)
const causal = { parentId: null, vectorClockEntry: null }
const publish: Frame = {
  type: 'Publish',
  flags: 0,
  streamId: 1,
  channel: 'orders',
  envelope: { schemaId: new Uint8Array(32), causal, payload: new Uint8Array(50).fill(8) },
  idempotencyKey: null,
}

function rowsOf(codec: Codec, frames: readonly Frame[]): FrameRows {
  const decoder = new codec.FrameDecoder()
  decoder.push(Buffer.concat(frames.map(codec.encode)))
  decoder.next()
  return decoder.batch
}

describe.each(codecs)('the run encoders of the %s codec', (_name, codec) => {
  it('write part of the rows, at an offset, with the channel’s schema id and counting sequences', () => {
    const rows = rowsOf(codec, Array<Frame>(40).fill(publish))
    for (const count of [0, 1, 3, 30]) {
      const length = codec.deliverRunLength(rows, 5, count)
      const target = new Uint8Array(length + 9).fill(0xee)
      expect(codec.encodeDeliverRun(rows, 5, count, 9, 0xffff_ffffn, schemaId, target, 4)).toBe(length)
      const frames = [...new codec.FrameDecoder().frames(target.subarray(4, 4 + length))]
      expect(frames.map((frame) => frame.type === 'Deliver' && frame.deliverySeq)).toEqual(
        Array.from({ length: count }, (_frame, index) => 0xffff_ffffn + BigInt(index)),
      )
      for (const frame of frames) {
        expect(frame).toMatchObject({ flags: 0, streamId: 9, envelope: { schemaId, causal } })
      }
      expect([...target.subarray(0, 4), ...target.subarray(4 + length)].every((byte) => byte === 0xee)).toBe(true)
    }
  })

  it('write the head of a Deliver for a payload that follows from elsewhere', () => {
    const context = { parentId: 'a parent', vectorClockEntry: 7n }
    const caused: Frame = { ...publish, envelope: { ...publish.envelope, causal: context } }
    const rows = rowsOf(codec, [publish, caused, { ...publish, flags: PUBLISH_HAS_KEY, idempotencyKey: 'key' }])
    for (const row of [0, 1, 2]) {
      const whole = new Uint8Array(codec.deliverRunLength(rows, row, 1))
      codec.encodeDeliverRun(rows, row, 1, 9, 77n, schemaId, whole, 0)
      const head = new Uint8Array(whole.length).fill(0xee)
      const written = codec.encodeDeliverHead(rows, row, 9, 77n, schemaId, head, 3)
      expect(written).toBe(whole.length - publish.envelope.payload.length)
      expect([...head.subarray(3, 3 + written)]).toEqual([...whole.subarray(0, written)])
      expect(head[2]).toBe(0xee)
      expect(head[3 + written]).toBe(0xee)
    }
    const ping = rowsOf(codec, [{ type: 'Ping', flags: 0, streamId: 0 }])
    const room = new Uint8Array(200)
    const calls: (() => unknown)[] = [
      () => codec.encodeDeliverHead(rows, 3, 9, 1n, schemaId, room, 0),
      () => codec.encodeDeliverHead(ping, 0, 9, 1n, schemaId, room, 0),
      () => codec.encodeDeliverHead(rows, 0, 0, 1n, schemaId, room, 0),
      () => codec.encodeDeliverHead(rows, 0, 9, 2n ** 64n, schemaId, room, 0),
      () => codec.encodeDeliverHead(rows, 0, 9, 1n, new Uint8Array(31), room, 0),
      () => codec.encodeDeliverHead(rows, 0, 9, 1n, schemaId, room.subarray(150), 0),
    ]
    for (const call of calls) expect(errorOf(call)).toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  it('refuse what cannot be written, whichever way the codec takes', () => {
    for (const count of [2, 30]) {
      const rows = rowsOf(codec, Array<Frame>(30).fill(publish))
      const length = codec.deliverRunLength(rows, 0, count)
      const target = new Uint8Array(length)
      const mixed = rowsOf(codec, [...Array<Frame>(count - 1).fill(publish), { type: 'Ping', flags: 0, streamId: 0 }])
      const shared = new Uint8Array(rows.bytes.buffer, rows.bytes.byteOffset, rows.bytes.length)
      const calls: (() => unknown)[] = [
        () => codec.encodeDeliverRun(rows, 0, count, 1, 1n, schemaId, target.subarray(1), 0),
        () => codec.encodeDeliverRun(rows, 0, count, 1, 1n, schemaId, target, 1),
        () => codec.encodeDeliverRun(rows, 0, count, 1, 1n, schemaId, target, -1),
        () => codec.encodeDeliverRun(rows, 31 - count, count, 1, 1n, schemaId, target, 0),
        () => codec.encodeDeliverRun(rows, -1, count, 1, 1n, schemaId, target, 0),
        () => codec.encodeDeliverRun(rows, 0, count, 0, 1n, schemaId, target, 0),
        () => codec.encodeDeliverRun(rows, 0, count, 2 ** 32, 1n, schemaId, target, 0),
        () => codec.encodeDeliverRun(rows, 0, count, 1, 2n ** 64n - 1n, schemaId, target, 0),
        () => codec.encodeDeliverRun(rows, 0, count, 1, -1n, schemaId, target, 0),
        () => codec.encodeDeliverRun(rows, 0, count, 1, 1n, new Uint8Array(31), target, 0),
        () => codec.encodeDeliverRun(mixed, 0, count, 1, 1n, schemaId, new Uint8Array(9000), 0),
        () => codec.encodeDeliverRun(rows, 0, count, 1, 1n, schemaId, shared, 0),
        () => codec.deliverRunLength(mixed, 0, count),
        () =>
          codec.deliverRunLength({ ...mixed, bytes: mixed.bytes.subarray(0, 20), columns: mixed.columns, count }, 0, 1),
        () => codec.encodePublishAckRun(1, 0, 1n, count, new Uint8Array(18 * count - 1), 0),
        () => codec.encodePublishAckRun(0, 0, 1n, count, new Uint8Array(18 * count), 0),
        () => codec.encodePublishAckRun(1, 256, 1n, count, new Uint8Array(18 * count), 0),
        () => codec.encodePublishAckRun(1, 0, 2n ** 64n - 1n, count, new Uint8Array(18 * count), 0),
        () => codec.encodePublishAckRun(1, 0, 1n, -1, new Uint8Array(18), 0),
      ]
      for (const call of calls) expect(errorOf(call).code, String(call)).toBe('INVALID_ARGUMENT')
    }
  })

  it('write up to the last id that a u64 holds', () => {
    const last = 2n ** 64n - 1n
    for (const count of [2, 30]) {
      const target = new Uint8Array(18 * count)
      codec.encodePublishAckRun(1, 0, last - BigInt(count) + 1n, count, target, 0)
      const acks = [...new codec.FrameDecoder().frames(target)]
      expect(acks.at(-1)).toMatchObject({ messageId: last })
    }
  })

  it('write to and from shared memory', () => {
    const rows = rowsOf(codec, Array<Frame>(30).fill(publish))
    const target = new Uint8Array(new SharedArrayBuffer(codec.deliverRunLength(rows, 0, 30)))
    expect(codec.encodeDeliverRun(rows, 0, 30, 1, 1n, schemaId, target, 0)).toBe(target.length)
    const acks = new Uint8Array(new SharedArrayBuffer(18 * 30))
    expect(codec.encodePublishAckRun(1, 0, 1n, 30, acks, 0)).toBe(acks.length)
    expect([...new codec.FrameDecoder().frames(acks)]).toHaveLength(30)
  })
})
