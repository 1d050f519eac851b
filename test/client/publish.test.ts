import { setFlagsFromString } from 'node:v8'
import { runInNewContext, runInThisContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { createBus, type Receipt } from '../../ts/bus/index.ts'
import { Call } from '../../ts/client/backlog.ts'
import { connect } from '../../ts/client/index.ts'
import { PublishLane } from '../../ts/client/publish-lane.ts'
import { PublishRequest } from '../../ts/client/publish-request.ts'
import { typescriptCodec } from '../../ts/codec/index.ts'
import type { LiminalError } from '../../ts/errors.ts'
import type { Frame } from '../../ts/protocol/index.ts'
import { serve } from '../../ts/server/index.ts'
import { failure, keep, pair, settled, streams, until } from './harness.ts'
import { envelope, type FrameOf, publishAck, replyTo, type ScriptedPeer, textOf } from './scripted-server.ts'

function publishError(streamId: number, reasonCode: number, message: string): Frame {
  return { type: 'PublishError', flags: 0, streamId, reasonCode, message }
}

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

async function publishes(peer: ScriptedPeer, count: number): Promise<FrameOf<'Publish'>[]> {
  const frames: FrameOf<'Publish'>[] = []
  while (frames.length < count) {
    const frame = await peer.next()
    if (frame.type === 'Publish') frames.push(frame)
    else if (frame.type === 'Ping') peer.send({ type: 'Pong', flags: 0, streamId: 0 })
    else throw new Error(`Expected Publish, got ${frame.type}`)
  }
  return frames
}

describe('publish', () => {
  it('writes exactly the frame that the codec makes', async () => {
    const { bus, peer } = await pair()
    const json = bus.channel('örders')
    const bytes = bus.channel<Uint8Array>('örders', { payload: 'bytes' })
    const causal = { parentId: 'p', vectorClockEntry: 2n ** 63n }
    const values = [{ a: 'ü€😀\ud800', n: [1, null] }, 'x'.repeat(5_000), '', 'ÿ'.repeat(2_000)]
    for (const value of values) json.publish(value).catch(() => {})
    bytes.publish(Uint8Array.of(0, 255)).catch(() => {})
    json.publish(1, { causal }).catch(() => {})
    json.publish(2, { causal, idempotencyKey: 'schlüssel' }).catch(() => {})
    const frames = await publishes(peer, values.length + 3)
    const payloads = [...values.map((value) => JSON.stringify(value)), Uint8Array.of(0, 255), '1', '2']
    for (const [index, frame] of frames.entries()) {
      const keyed = index === frames.length - 1
      expect(frame).toEqual(
        typescriptCodec.decode(
          typescriptCodec.encode({
            type: 'Publish',
            flags: keyed ? 2 : 0,
            streamId: frames[0].streamId,
            channel: 'örders',
            envelope: envelope(payloads[index], index >= frames.length - 2 ? causal : undefined),
            idempotencyKey: keyed ? 'schlüssel' : null,
          }),
        ).frame,
      )
    }
    expect(frames[0].streamId % 2).toBe(1)
  })

  it('goes out in one piece per turn and gives each call its own answer, in order', async () => {
    const { bus, peer } = await pair()
    const channel = bus.channel<number>('orders')
    const calls = Array.from({ length: 100 }, (_, index) => channel.publish(index))
    const frames = await publishes(peer, 100)
    expect(frames.map((frame) => Number(textOf(frame)))).toEqual(Array.from({ length: 100 }, (_, index) => index))
    expect(new Set(frames.map((frame) => frame.streamId)).size).toBe(1)
    expect(peer.chunks.at(-1)?.length).toBe(100)

    const [{ streamId }] = frames
    const answers = frames.map((_, index) =>
      index % 10 === 3
        ? publishError(streamId, 0x8001, `bad ${index}`)
        : publishAck(streamId, BigInt(index), index % 2),
    )
    peer.send(...answers)
    const outcomes = await Promise.allSettled(calls)
    for (const [index, outcome] of outcomes.entries()) {
      if (index % 10 === 3) {
        expect(outcome).toMatchObject({
          status: 'rejected',
          reason: { code: 'PAYLOAD_INVALID', message: `bad ${index}` },
        })
      } else {
        const delivered = index % 2 === 1
        const value = {
          messageId: BigInt(index),
          position: null,
          delivered,
          deliveredTo: delivered ? null : 0,
          duplicate: false,
        }
        expect(outcome).toEqual({ status: 'fulfilled', value })
      }
    }
  })

  it('tells a duplicate', async () => {
    const { bus, peer } = await pair()
    const call = bus.channel('orders').publish(1, { idempotencyKey: 'k' })
    const { streamId } = await peer.expect('Publish')
    peer.send(publishAck(streamId, 7n, 0x81))
    expect(await call).toEqual({ messageId: 7n, position: null, delivered: true, deliveredTo: null, duplicate: true })
  })

  it('maps what the server says', async () => {
    const { bus, peer } = await pair()
    for (const [reasonCode, code] of [
      [0x0101, 'CHANNEL_NOT_FOUND'],
      [0x0102, 'CHANNEL_CLOSED'],
      [0x800b, 'LIMIT_EXCEEDED'],
      [0x0008, 'SchemaIncompatible'],
      [0xffff, 'REMOTE_ERROR'],
      [0x9999, 'REMOTE_ERROR'],
    ] as const) {
      const call = failure(bus.channel('orders').publish(1), code)
      const { streamId } = await peer.expect('Publish')
      peer.send(publishError(streamId, reasonCode, 'as the server says'))
      expect((await call).message).toBe('as the server says')
    }
  })

  it('refuses a payload over the frame cap before anything is written', async () => {
    const { bus, peer } = await pair({ frameBytes: 2_048 })
    const channel = bus.channel<string>('orders')
    await failure(channel.publish('x'.repeat(2_048)), 'PAYLOAD_TOO_LARGE')
    await failure(() => channel.send('x'.repeat(2_048)), 'PAYLOAD_TOO_LARGE')
    await failure(bus.ask('greet', 'x'.repeat(2_048)), 'PAYLOAD_TOO_LARGE')
    // Three bytes for each unit are reserved, and only those needed are counted.
    const fits = channel.publish('x'.repeat(1_900))
    const { streamId } = await peer.expect('Publish')
    peer.send(publishAck(streamId, 1n))
    await fits
  })

  it('gives up in its time, and still knows whose the next answer is', async () => {
    const { bus, peer, core } = await pair({ requestTimeoutMs: 32 })
    const channel = bus.channel<string>('orders')
    const slow = failure(channel.publish('slow'), 'TIMEOUT')
    const own = failure(channel.publish('own', { timeoutMs: 5 }), 'TIMEOUT')
    const controller = new AbortController()
    const aborted = failure(channel.publish('aborted', { signal: controller.signal }), 'ABORTED')
    const { streamId } = (await publishes(peer, 3))[0]
    controller.abort()
    await Promise.all([slow, own, aborted])

    const next = channel.publish('next', { timeoutMs: 20_000 })
    await peer.expect('Publish')
    peer.send(publishAck(streamId, 1n), publishAck(streamId, 2n), publishAck(streamId, 3n), publishAck(streamId, 4n))
    expect((await next).messageId).toBe(4n)
    expect(core.connection?.unacknowledged).toBe(0)
  })

  it('never gives up early', async () => {
    const { bus, peer } = await pair({ requestTimeoutMs: 64 })
    const started = performance.now()
    await failure(bus.channel('orders').publish(1), 'TIMEOUT')
    expect(performance.now() - started).toBeGreaterThanOrEqual(64)
    await peer.expect('Publish')
  })

  it('ends the connection over an answer that nobody asked for', async () => {
    const { bus, peer } = await pair()
    const call = bus.channel('orders').publish(1)
    const { streamId } = await peer.expect('Publish')
    const lost = until(bus, 'disconnected')
    peer.send(publishAck(streamId, 1n), publishAck(streamId, 2n))
    expect((await call).messageId).toBe(1n)
    expect(await lost).toMatchObject({ error: { cause: { code: 'InvalidStateTransition' } } })
  })

  it('waits past the outbox cap, in order, and is refused past what may wait', async () => {
    const { bus, peer, core } = await pair({ outboxBytes: 4_096 })
    peer.socket.pause()
    const channel = bus.channel<Uint8Array>('orders', { payload: 'bytes' })
    const payload = new Uint8Array(1_024)
    const calls: Promise<unknown>[] = []
    while (calls.length < 100_000) {
      payload[0] = calls.length
      const call = channel.publish(payload)
      calls.push(call)
      if (core.waitingCalls === 0) continue
      let refused = false
      await Promise.race([call.catch(() => (refused = true)), Promise.resolve()])
      if (refused) break
    }
    await failure(calls[calls.length - 1], 'OUTBOX_FULL')
    const taken = calls.length - 1
    expect(taken).toBeGreaterThan(core.waitingCalls)
    expect(core.waitingCalls).toBeLessThanOrEqual(36)

    peer.socket.resume()
    const frames = await publishes(peer, taken)
    expect(frames.map((frame) => frame.envelope.payload[0])).toEqual(frames.map((_, index) => index & 0xff))
    peer.send(...frames.map((frame, index) => publishAck(frame.streamId, BigInt(index))))
    await Promise.all(calls.slice(0, taken))
    expect(core.waitingCalls).toBe(0)
  })

  it('leaves what waits when it gives up', async () => {
    const { bus, peer, core } = await pair({ requestTimeoutMs: 30, reconnect: { baseMs: 60_000, maxMs: 60_000 } })
    peer.kill()
    await until(bus, 'reconnecting')
    const channel = bus.channel<number>('orders')
    const calls = [
      failure(channel.publish(1), 'TIMEOUT'),
      failure(channel.publish(2, { timeoutMs: 5 }), 'TIMEOUT'),
      failure(bus.ask('greet', 1, { timeoutMs: 5 }), 'TIMEOUT'),
      failure(bus.converse('greet', { timeoutMs: 5 }), 'TIMEOUT'),
      failure(bus.converse('greet'), 'TIMEOUT'),
    ]
    expect(core.waitingCalls).toBe(5)
    await Promise.all(calls)
    expect(core.waitingCalls).toBe(0)
  })
})

describe('send', () => {
  it('asks for no answer on a stream of its own', async () => {
    const { bus, peer } = await pair()
    const channel = bus.channel<number>('orders')
    channel.publish(0).catch(() => {})
    channel.send(1)
    channel.send(2, { causal: { parentId: 'p', vectorClockEntry: null } })
    const [published, first, second] = await publishes(peer, 3)
    expect([published.flags, first.flags, second.flags]).toEqual([0, 0x80, 0x80])
    expect(first.streamId).not.toBe(published.streamId)
    expect(second.streamId).toBe(first.streamId)
    expect(second.envelope.causal.parentId).toBe('p')
    peer.send(publishError(first.streamId, 0x8001, 'not like this'))
    await settled(peer)
    expect(channel.sendCounts).toMatchObject({ sent: 2, failed: 1, lastError: { code: 'PAYLOAD_INVALID' } })
  })

  it('drops the answers of a server that always gives one', async () => {
    const { bus, peer } = await pair({}, 0)
    const channel = bus.channel<number>('orders')
    channel.send(1)
    channel.send(2)
    const [{ streamId, flags }] = await publishes(peer, 2)
    expect(flags).toBe(0)
    peer.send(publishAck(streamId, 1n), publishError(streamId, 0x0101, 'gone'))
    await settled(peer)
    expect(channel.sendCounts).toMatchObject({ sent: 2, failed: 1, lastError: { code: 'CHANNEL_NOT_FOUND' } })
  })

  it('is refused when too much is underway, and told when it is not', async () => {
    const { bus, peer } = await pair({ outboxBytes: 64 * 1_024 })
    peer.socket.pause()
    const channel = bus.channel<Uint8Array>('orders', { payload: 'bytes' })
    await channel.ready()
    const payload = new Uint8Array(16 * 1_024)
    const flood = async (): Promise<void> => {
      for (;;) {
        channel.send(payload)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    await failure(flood, 'OUTBOX_FULL')
    const { sent } = channel.sendCounts
    await failure(channel.ready({ timeoutMs: 5 }), 'TIMEOUT')
    await failure(channel.ready({ signal: AbortSignal.abort() }), 'ABORTED')
    const ready = channel.ready()
    peer.socket.resume()
    const received = publishes(peer, sent + 1)
    await ready
    channel.send(payload)
    await received
  })

  it('runs ahead of a server that does not say what it has dealt with only so far', async () => {
    const { bus, peer } = await pair()
    const channel = bus.channel<Uint8Array>('orders', { payload: 'bytes' })
    const payload = new Uint8Array(16 * 1_024)
    const flood = (): void => {
      for (;;) channel.send(payload)
    }
    await failure(flood, 'OUTBOX_FULL')
    const { sent } = channel.sendCounts
    // Far less than the 8 MiB of its outbox: more would stand before the Accepts of this connection.
    expect(sent * payload.length).toBeLessThan(2 * 1_024 * 1_024)
    const late = channel.publish(payload).then(() => 'published')
    const ready = channel.ready()
    expect(await publishes(peer, sent)).toHaveLength(sent)
    peer.send({ type: 'Pong', flags: 0, streamId: 0 })
    await ready
    const [publish] = await publishes(peer, 1)
    peer.send({ type: 'PublishAck', flags: 0, streamId: publish.streamId, messageId: 1n })
    expect(await late).toBe('published')
  })

  it('is refused without a connection, and ready with the next one', async () => {
    const { bus, peer, server } = await pair()
    const channel = bus.channel<number>('orders')
    peer.kill()
    await until(bus, 'disconnected')
    const error = await failure(() => channel.send(1), 'OUTBOX_FULL')
    expect(error.message).toContain('no connection')
    expect(channel.sendCounts.sent).toBe(0)
    const ready = channel.ready()
    const second = await server.connection()
    await second.accept()
    await ready
    channel.send(2)
    expect(textOf(await second.expect('Publish'))).toBe('2')
  })

  it('counts what was lost with the connection, as far as it is not known to have arrived', async () => {
    const { bus, peer, server } = await pair()
    const channel = bus.channel<number>('orders')
    for (let value = 0; value < 5; value++) channel.send(value)
    await publishes(peer, 5)
    // Asks within a second what became of them.
    await peer.expect('Ping')
    channel.send(5)
    await peer.expect('Publish')
    peer.send({ type: 'Pong', flags: 0, streamId: 0 })
    await settled(peer)
    peer.kill()
    await until(bus, 'disconnected')
    expect(channel.sendCounts).toMatchObject({ sent: 6, failed: 1, lastError: { code: 'CONNECTION_LOST' } })
    await (await server.connection()).accept()
    await until(bus, 'connected')
  })

  it('gives the streams of handles back that nobody holds any more', async () => {
    const { bus, peer, core } = await pair()
    for (let index = 0; index < 200; index++) bus.channel('orders').send(index)
    expect(streams(core)).toBe(200)
    await publishes(peer, 200)
    await peer.expect('Ping')
    peer.send({ type: 'Pong', flags: 0, streamId: 0 })
    for (let round = 0; round < 50 && streams(core) > 10; round++) {
      collectGarbage()
      await peer.rest()
    }
    expect(streams(core)).toBeLessThan(10)
  })
})

/** A view whose memory was given away. */
function transferred(): Uint8Array {
  const view = Uint8Array.of(1, 2, 3, 4, 5)
  structuredClone(view.buffer, { transfer: [view.buffer] })
  return view
}

/** A view of what its buffer no longer has: `maxByteLength` is younger than the types of this target. */
function outOfBounds(): Uint8Array {
  const buffer: unknown = runInNewContext('new ArrayBuffer(8, { maxByteLength: 8 })')
  const view: unknown = runInThisContext('(buffer) => new Uint8Array(buffer, 4, 4)')
  if (typeof view !== 'function') throw new Error('No view was made.')
  const made: unknown = view(buffer)
  runInNewContext('buffer.resize(2)', { buffer })
  if (!(made instanceof Uint8Array)) throw new Error('No view was made.')
  return made
}

describe('bytes that are gone', () => {
  it.each([
    ['transferred', transferred],
    ['out of bounds', outOfBounds],
  ])('are refused before anything is written, and every receipt goes to its own call (%s)', async (_name, gone) => {
    const { bus, peer, core } = await pair()
    const channel = bus.channel<Uint8Array>('c', { payload: 'bytes' })
    const first = channel.publish(Uint8Array.of(1))
    const bytes = { payload: 'bytes' } as const
    await failure(channel.publish(gone()), 'PAYLOAD_INVALID')
    await failure(channel.publish(gone(), { idempotencyKey: 'k' }), 'PAYLOAD_INVALID')
    await failure(() => channel.send(gone()), 'PAYLOAD_INVALID')
    await failure(bus.ask('work', gone(), bytes), 'PAYLOAD_INVALID')
    const empty = channel.publish(new Uint8Array(0))
    const [{ streamId }, second] = await publishes(peer, 2)
    expect(second.envelope.payload.length).toBe(0)
    peer.send(publishAck(streamId, 7n), publishAck(streamId, 8n))
    expect([(await first).messageId, (await empty).messageId]).toEqual([7n, 8n])
    await settled(peer)
    expect([streams(core), core.connection?.unacknowledged]).toEqual([1, 0])
  })

  it('are refused in a conversation, which goes on', async () => {
    const { bus, peer } = await pair()
    const opening = bus.converse('work', { payload: 'bytes' })
    const open = await peer.expect('ConversationOpen')
    peer.send(open)
    const conversation = await opening
    await failure(conversation.request(transferred()), 'PAYLOAD_INVALID')
    await failure(() => conversation.send(transferred()), 'PAYLOAD_INVALID')
    const request = conversation.request(Uint8Array.of(1))
    const message = await peer.expect('ConversationMessage')
    peer.send(replyTo(message, 'x'))
    expect(await request).toEqual(new Uint8Array(Buffer.from('x')))
  })

  it('are refused as a reply, and the next request is answered', async () => {
    const local = keep(await createBus())
    const server = keep(await serve(local, { port: 0 }))
    const bus = keep(await connect(server.url))
    const replies = [transferred(), Uint8Array.of(9)]
    await bus.respond('work', () => replies.shift(), { payload: 'bytes' }).ready()
    const options = { payload: 'bytes' } as const
    const error = await failure(bus.ask('work', Uint8Array.of(1), options), 'RESPONDER_FAILED')
    expect(error.message).toContain('transferred')
    expect(await bus.ask<Uint8Array>('work', Uint8Array.of(1), options)).toEqual(Uint8Array.of(9))
  })

  it('leave the lane as it was even if they get as far as the write', async () => {
    const { peer, core } = await pair()
    const lane = new PublishLane(core, 'c')
    const publish = (payload: Uint8Array, options?: { idempotencyKey: string }): Promise<Receipt> =>
      new Promise((resolve, reject) => {
        const request = new PublishRequest(lane, payload, options, Number.POSITIVE_INFINITY, resolve, reject)
        core.submit(request)
      })
    const first = publish(Uint8Array.of(1))
    await expect(publish(transferred())).rejects.toThrow()
    const keyed = publish(Uint8Array.of(2), { idempotencyKey: 'k' })
    expect([lane.underway, core.connection?.unacknowledged]).toEqual([2, 2])
    const frames = await publishes(peer, 2)
    expect(frames.map((frame) => [...frame.envelope.payload])).toEqual([[1], [2]])
    peer.send(publishAck(frames[0].streamId, 1n), publishAck(frames[0].streamId, 2n))
    expect([(await first).messageId, (await keyed).messageId]).toEqual([1n, 2n])
    expect([core.connection?.unacknowledged, core.connection?.retainedBytes]).toEqual([0, 0])
  })
})

/** A call that cannot be written. */
class Unwritable extends Call {
  readonly bytes = 10
  readonly what = 'The call'
  ended: LiminalError | null = null

  write(): void {
    throw new Error('out of memory')
  }

  end(error: LiminalError): void {
    this.ended = error
  }
}

describe('a call that cannot be written when its turn has come', () => {
  it('fails alone: the connection stays, and those behind it are written', async () => {
    const { bus, peer, server, core } = await pair()
    const gone = until(bus, 'reconnecting')
    peer.kill()
    await gone
    const unwritable = new Unwritable()
    core.submit(unwritable)
    const receipt = bus.channel('c').publish(1)
    const again = await server.connection()
    await again.accept()
    const [{ streamId }] = await publishes(again, 1)
    again.send(publishAck(streamId, 3n))
    expect((await receipt).messageId).toBe(3n)
    expect(unwritable.ended).toMatchObject({ cause: { message: 'out of memory' } })
    expect(bus.state.type).toBe('connected')
  })
})

describe('a Buffer that has to wait', () => {
  it('is sent as it was, whatever its owner does with it meanwhile', async () => {
    const { bus, peer, server } = await pair()
    const channel = bus.channel<Uint8Array>('c', { payload: 'bytes' })
    const payload = Buffer.from('before')
    const receipt = channel.publish(payload, { idempotencyKey: 'k' })
    await publishes(peer, 1)
    payload.fill('x')
    peer.kill()
    const again = await server.connection()
    await again.accept()
    const [frame] = await publishes(again, 1)
    expect(textOf(frame)).toBe('before')
    again.send(publishAck(frame.streamId, 1n))
    expect((await receipt).messageId).toBe(1n)
  })
})

describe('a timeout of 0', () => {
  it('gives up on what needs the server, and lets through what does not', async () => {
    const { bus, peer, core } = await pair()
    const channel = bus.channel<number>('c')
    await channel.ready({ timeoutMs: 0 })
    const error = await failure(channel.publish(1, { timeoutMs: 0 }), 'TIMEOUT')
    expect(error.message).toContain('0 ms')
    await failure(bus.ask('work', 1, { timeoutMs: 0 }), 'TIMEOUT')
    await failure(bus.converse('work', { timeoutMs: 0 }), 'TIMEOUT')
    const types = (await peer.rest()).map((frame) => frame.type)
    expect(types).toEqual([
      'Publish',
      'ConversationOpen',
      'ConversationMessage',
      'ConversationClose',
      'ConversationOpen',
      'ConversationClose',
    ])
    // The publish is still to be answered, for nobody.
    expect([streams(core), core.waitingCalls]).toEqual([1, 0])
  })
})
