import { describe, expect, it } from 'vitest'
import { Carry } from '../../ts/codec/carry.ts'
import { createNameTable } from '../../ts/codec/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import type { Frame } from '../../ts/protocol/index.ts'
import { codecs, errorOf, fromHex, outcome } from './support.ts'

const PING = fromHex('13000000000000000000')

function publish(payload: Uint8Array, channel = 'orders'): Frame {
  return {
    type: 'Publish',
    flags: 0,
    streamId: 1,
    channel,
    envelope: { schemaId: new Uint8Array(32), causal: { parentId: null, vectorClockEntry: null }, payload },
    idempotencyKey: null,
  }
}

/** A header that declares a payload of so many bytes. */
function header(typeId: number, streamId: number, payloadLength: number): Uint8Array {
  const bytes = Buffer.alloc(10)
  bytes[0] = typeId
  bytes.writeUInt32BE(streamId, 2)
  bytes.writeUInt32BE(payloadLength, 6)
  return bytes
}

describe.each(codecs)('the decoder of the %s codec', (_name, codec) => {
  it('reads a chunk in place: payloads are views of it', () => {
    const chunk = codec.encode(publish(new Uint8Array([1, 2, 3])))
    const decoder = new codec.FrameDecoder()
    const [frame] = [...decoder.frames(chunk)]
    if (frame.type !== 'Publish') throw new Error(frame.type)
    expect(frame.envelope.payload).toEqual(new Uint8Array([1, 2, 3]))
    expect(frame.envelope.payload.buffer).toBe(chunk.buffer)
  })

  it('accepts chunks that are views with an offset, and plain Uint8Arrays', () => {
    const frame = codec.encode(publish(new Uint8Array(700).fill(9)))
    const room = new Uint8Array(frame.length + 40).fill(0xee)
    room.set(frame, 13)
    const chunk = room.subarray(13, 13 + frame.length)
    const frames = [...new codec.FrameDecoder().frames(chunk)]
    expect(frames).toHaveLength(1)
    expect(codec.encode(frames[0])).toEqual(frame)
  })

  it('reads chunks on shared memory', () => {
    const encoded = codec.encode(publish(new Uint8Array(900).fill(1)))
    const shared = new Uint8Array(new SharedArrayBuffer(encoded.length))
    shared.set(encoded)
    const [frame] = [...new codec.FrameDecoder().frames(shared)]
    expect(Buffer.from(codec.encode(frame)).equals(encoded)).toBe(true)
  })

  it('hands rows out in batches of the size asked for', () => {
    const decoder = new codec.FrameDecoder({ rows: 3 })
    decoder.push(Buffer.concat(Array<Uint8Array>(100).fill(PING)))
    const counts: number[] = []
    while (decoder.next()) counts.push(decoder.batch.count)
    expect(counts).toEqual([...Array<number>(33).fill(3), 1])
    expect(decoder.batch.count).toBe(0)
  })

  it('names channels of the table by number and others by their bytes', () => {
    const names = createNameTable()
    const orders = names.add('orders')
    const decoder = new codec.FrameDecoder({ names })
    const subscribe: Frame = {
      type: 'Subscribe',
      flags: 0,
      streamId: 3,
      channel: 'bills',
      acceptedSchemas: [],
      maxInFlight: 1,
    }
    decoder.push(
      Buffer.concat([codec.encode(publish(PING)), codec.encode(publish(PING, 'café')), codec.encode(subscribe)]),
    )
    expect(decoder.next()).toBe(true)
    const { batch } = decoder
    expect([0, 1, 2].map((row) => batch.channel(row))).toEqual(['orders', 'café', 'bills'])
    expect([0, 1, 2].map((row) => batch.columns[4 + row * 13 + 5])).toEqual([orders, -1, -1])
    expect([0, 1, 2].map((row) => batch.frame(row).type)).toEqual(['Publish', 'Publish', 'Subscribe'])
  })

  it('reads the id of a row, and refuses rows without one or outside the batch', () => {
    const decoder = new codec.FrameDecoder()
    const close: Frame = {
      type: 'ConversationClose',
      flags: 0,
      streamId: 5,
      conversationId: 0xffff_ffff_ffff_fffen,
      reasonCode: null,
      message: null,
    }
    decoder.push(Buffer.concat([codec.encode(close), PING]))
    decoder.next()
    expect(decoder.batch.id(0)).toBe(0xffff_ffff_ffff_fffen)
    for (const call of [
      () => decoder.batch.id(1),
      () => decoder.batch.channel(0),
      () => decoder.batch.frame(2),
      () => decoder.batch.frame(-1),
    ]) {
      expect(errorOf(call).code).toBe('INVALID_ARGUMENT')
    }
  })

  it('returns the frames before a malformed one, then fails with its error, and stays failed', () => {
    for (const count of [0, 1, 200]) {
      const decoder = new codec.FrameDecoder()
      const bad = fromHex('05000000000100000000')
      decoder.push(Buffer.concat([...Array<Uint8Array>(count).fill(PING), bad, PING]))
      let seen = 0
      const drain = () => {
        while (decoder.next()) seen += decoder.batch.count
      }
      const failure = errorOf(drain)
      expect(seen).toBe(count)
      expect(outcome(failure)).toEqual({ code: 'CodecError', reasonCode: 9 })
      expect(failure.message).toBe(errorOf(() => codec.decode(bad)).message)
      expect(failure.message).toContain('Subscribe.channel at byte 10')
      for (const call of [() => decoder.next(), () => decoder.push(PING), () => decoder.end()]) {
        expect(errorOf(call)).toBe(failure)
      }
      expect(decoder.pendingBytes).toBe(0)
    }
  })

  it('refuses a frame over the cap from its header alone', () => {
    for (const cut of [10, 3, 200]) {
      const decoder = new codec.FrameDecoder({ maxFrameBytes: 100 })
      const bytes = Buffer.concat([PING, header(0x15, 1, 91), new Uint8Array(300)])
      decoder.push(bytes.subarray(0, 10 + cut))
      const drain = () => {
        while (decoder.next());
        decoder.push(bytes.subarray(10 + cut, 20))
        decoder.next()
      }
      const failure = errorOf(drain)
      expect(outcome(failure)).toEqual({ code: 'FrameTooLarge', reasonCode: 9 })
      expect(failure.message).toContain('101 bytes')
    }
    const exact = new codec.FrameDecoder({ maxFrameBytes: 100 })
    expect([...exact.frames(Buffer.concat([header(0x7f, 1, 90), new Uint8Array(90)]))]).toHaveLength(1)
  })

  it('caps frames at 16 MiB unless told otherwise', () => {
    const decoder = new codec.FrameDecoder()
    decoder.push(header(0x15, 1, 16 * 1024 * 1024 - 10))
    expect(decoder.next()).toBe(false)
    const larger = new codec.FrameDecoder()
    larger.push(header(0x15, 1, 16 * 1024 * 1024 - 9))
    expect(errorOf(() => larger.next()).code).toBe('FrameTooLarge')
  })

  it('copies the retained tail: the caller may reuse the chunk', () => {
    const encoded = codec.encode(publish(new Uint8Array(2000).fill(5)))
    const decoder = new codec.FrameDecoder()
    const chunk = new Uint8Array(64)
    for (let at = 0; at < encoded.length; at += chunk.length) {
      const part = encoded.subarray(at, at + chunk.length)
      chunk.set(part)
      decoder.push(chunk.subarray(0, part.length))
      if (at + chunk.length < encoded.length) {
        expect(decoder.next()).toBe(false)
        expect(decoder.pendingBytes).toBe(at + chunk.length)
      } else {
        expect(decoder.next()).toBe(true)
      }
      if (decoder.batch.count === 0) chunk.fill(0xaa)
    }
    expect(Buffer.from(codec.encode(decoder.batch.frame(0))).equals(encoded)).toBe(true)
    expect(decoder.next()).toBe(false)
    expect(decoder.pendingBytes).toBe(0)
  })

  it('keeps the payloads of carried frames valid after the next ones', () => {
    const decoder = new codec.FrameDecoder()
    const payloads: Uint8Array[] = []
    const stream = Buffer.concat(
      Array.from({ length: 50 }, (_frame, index) => codec.encode(publish(new Uint8Array(500).fill(index)))),
    )
    for (let at = 0; at < stream.length; at += 333) {
      for (const frame of decoder.frames(stream.slice(at, at + 333))) {
        if (frame.type === 'Publish') payloads.push(frame.envelope.payload)
      }
    }
    expect(payloads).toHaveLength(50)
    payloads.forEach((payload, index) => {
      expect(payload).toEqual(new Uint8Array(500).fill(index))
    })
  })

  it('holds no more memory than twice what came, whatever the header declares', () => {
    const before = process.memoryUsage().arrayBuffers
    const decoders = Array.from({ length: 100 }, () => {
      const decoder = new codec.FrameDecoder()
      decoder.push(Buffer.concat([header(0x15, 1, 16_000_000), new Uint8Array(1000)]))
      expect(decoder.next()).toBe(false)
      return decoder
    })
    expect(decoders.every((decoder) => decoder.pendingBytes === 1010)).toBe(true)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000)
  })

  it('allocates nothing for declared counts that have no bytes behind them', () => {
    const body = Buffer.concat([Buffer.alloc(4), Buffer.from('ffffffff', 'hex'), Buffer.alloc(60)])
    const before = process.memoryUsage()
    for (const typeId of [0x05, 0x17]) {
      const decoder = new codec.FrameDecoder()
      const bytes = Buffer.concat([header(typeId, typeId === 0x05 ? 1 : 0, body.length), body])
      decoder.push(bytes)
      expect(outcome(errorOf(() => decoder.next()))).toEqual({ code: 'CodecError', reasonCode: 9 })
    }
    const after = process.memoryUsage()
    expect(after.arrayBuffers + after.heapUsed - before.arrayBuffers - before.heapUsed).toBeLessThan(50_000_000)
  })

  it('holds columns only while it has rows to give out, and shares them with nobody meanwhile', () => {
    const frames = (count: number, streamId: number): Buffer =>
      Buffer.concat(
        Array.from({ length: count }, () =>
          Buffer.from(codec.encode({ type: 'Unsubscribe', flags: 0, streamId, subscriptionId: 1n })),
        ),
      )
    const one = new codec.FrameDecoder()
    const other = new codec.FrameDecoder()
    const streams: number[] = []
    one.push(frames(3, 5))
    while (one.next()) {
      for (let row = 0; row < one.batch.count; row++) {
        // A handler may drive another decoder in the middle of a batch.
        for (const frame of other.frames(frames(7, 9))) streams.push(frame.streamId)
        streams.push(one.batch.frame(row).streamId)
      }
    }
    expect(streams).toEqual([0, 1, 2].flatMap(() => [...Array<number>(7).fill(9), 5]))
    expect(one.batch.count).toBe(0)
    expect(() => one.batch.frame(0)).toThrow(LiminalError)

    const before = process.memoryUsage().arrayBuffers
    const decoders = Array.from({ length: 500 }, () => {
      const decoder = new codec.FrameDecoder()
      expect([...decoder.frames(frames(2, 3))]).toHaveLength(2)
      return decoder
    })
    expect(decoders).toHaveLength(500)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(500 * 2_000)
  })

  it('tells a clean end from one inside a header or a payload', () => {
    const clean = new codec.FrameDecoder()
    expect([...clean.frames(PING)]).toHaveLength(1)
    clean.end()
    const inHeader = new codec.FrameDecoder()
    expect([...inHeader.frames(Buffer.concat([PING, PING.subarray(0, 9)]))]).toHaveLength(1)
    expect(outcome(errorOf(() => inHeader.end()))).toEqual({ code: 'IncompleteHeader', reasonCode: 1 })
    const inPayload = new codec.FrameDecoder()
    expect([...inPayload.frames(header(0x15, 0, 1))]).toHaveLength(0)
    expect(outcome(errorOf(() => inPayload.end()))).toEqual({ code: 'TruncatedPayload', reasonCode: 2 })
  })

  it('refuses a chunk, or the end, while frames of the last chunk are unread', () => {
    const decoder = new codec.FrameDecoder({ rows: 1 })
    decoder.push(Buffer.concat([PING, PING]))
    expect(decoder.next()).toBe(true)
    expect(errorOf(() => decoder.push(PING)).code).toBe('INVALID_ARGUMENT')
    expect(errorOf(() => decoder.end()).code).toBe('INVALID_ARGUMENT')
    expect(decoder.next()).toBe(true)
    expect(decoder.next()).toBe(false)
    decoder.end()
  })

  it('refuses options outside their range', () => {
    for (const options of [{ rows: 0 }, { rows: 1.5 }, { maxFrameBytes: 9 }, { maxFrameBytes: 2 ** 31 }]) {
      expect(errorOf(() => new codec.FrameDecoder(options)).code).toBe('INVALID_ARGUMENT')
    }
  })
})

describe('the bytes held back for a cut frame', () => {
  it('grow with what came and never past the frame', () => {
    const carry = new Carry()
    const total = 1_000_000
    carry.start(Buffer.concat([header(0x15, 1, total - 10), new Uint8Array(90)]), 0)
    expect(carry.total).toBe(total)
    const chunk = new Uint8Array(1000)
    while (carry.missing > 0) {
      expect(carry.capacity).toBeLessThanOrEqual(Math.min(total, Math.max(2_000, 2 * carry.length)))
      carry.take(chunk, 0)
    }
    expect(carry.capacity).toBe(total)
    expect(carry.handOver()).toHaveLength(total)
    expect(carry.capacity).toBe(0)
  })

  it('are one piece of memory for a frame that comes in few large chunks, and little for one that only says so', () => {
    const total = 65_600
    const start = header(0x15, 1, total - 10)
    const bulk = new Carry()
    const chunk = Buffer.concat([new Uint8Array(60_000), start, new Uint8Array(5_526)])
    bulk.start(chunk, 60_000)
    expect(bulk.capacity).toBe(total)
    const idle = new Carry()
    idle.start(start, 0)
    expect(idle.capacity).toBeLessThanOrEqual(256)
    const headerless = new Carry()
    headerless.start(chunk.subarray(0, 60_005), 60_000)
    expect(headerless.capacity).toBeLessThanOrEqual(256)
  })

  it('take no byte of the next frame', () => {
    const carry = new Carry()
    carry.start(PING.subarray(0, 4), 0)
    expect(carry.take(Buffer.concat([PING.subarray(4), PING]), 0)).toBe(6)
    expect(carry.missing).toBe(0)
    expect(new Uint8Array(carry.handOver())).toEqual(PING)
  })
})
