import { describe, expect, it } from 'vitest'
import { LiminalError } from '../../ts/errors.ts'
import { ACK_POSITION, type Frame, NO_POSITION, PUBLISH_NO_ACK, ReasonCode } from '../../ts/protocol/index.ts'
import type { BusServer } from '../../ts/server/index.ts'
import { extendedPeer, plainPeer, startServer } from './fixture.ts'
import { GatedStore } from './gated-store.ts'
import { DISCONNECT, publishFrame, type RawPeer, subscribeFrame } from './raw-peer.ts'

const channels = [
  { name: 'orders', durable: true },
  { name: 'checked', durable: true, schema: { type: 'number' } },
  { name: 'ticks' },
]

async function start(): Promise<{ readonly server: BusServer; readonly store: GatedStore }> {
  const store = new GatedStore()
  const server = await startServer({ store, channels, createChannels: false })
  return { server, store }
}

/** The next answers: `ack`, `error` with its code, or `at` a position. */
async function answers(peer: RawPeer, count: number): Promise<string[]> {
  const seen: string[] = []
  while (seen.length < count) seen.push(readable(await peer.next()))
  return seen
}

function readable(frame: Frame): string {
  if (frame.type === 'PublishError') return `error ${frame.reasonCode}`
  if (frame.type !== 'PublishAck') return frame.type
  if ((frame.flags & ACK_POSITION) === 0) return frame.flags === 0 ? 'ack' : `ack ${frame.flags}`
  return frame.messageId === NO_POSITION ? 'at none' : `at ${frame.messageId}`
}

describe('a publish to a durable channel', () => {
  it('is acknowledged when it is stored, and its position is said once for all that follow', async () => {
    const { store, server } = await start()
    const peer = await extendedPeer(server)
    store.shut()
    peer.send(publishFrame('orders', '1'), publishFrame('orders', '2'))
    await store.waiting
    expect(await peer.rest()).toEqual([])
    store.open()
    expect(await answers(peer, 3)).toEqual(['at 0', 'ack', 'ack'])
    peer.send(publishFrame('orders', '3'))
    expect(await answers(peer, 1)).toEqual(['ack'])
    // Somebody else's comes in between.
    await server.bus.channel('orders').publish(4)
    peer.send(publishFrame('orders', '5'))
    expect(await answers(peer, 2)).toEqual(['at 4', 'ack'])
  })

  it('is acknowledged without its position to a peer that does not know of any', async () => {
    const { server } = await start()
    const peer = await plainPeer(server)
    peer.send(publishFrame('orders', '1'), publishFrame('orders', '2'))
    expect(await answers(peer, 2)).toEqual(['ack', 'ack'])
  })

  it('has the position of the original if its key was seen before', async () => {
    const { server } = await start()
    const peer = await extendedPeer(server)
    peer.send(publishFrame('orders', '1', { key: 'a' }), publishFrame('orders', '2', { key: 'b' }))
    expect(await answers(peer, 3)).toEqual(['at 0', 'ack', 'ack'])
    peer.send(publishFrame('orders', '1', { key: 'a' }), publishFrame('orders', '3', { key: 'c' }))
    expect(await answers(peer, 4)).toEqual(['at 0', 'ack 128', 'at 2', 'ack'])
  })

  it('is refused behind those before it, and takes no position', async () => {
    const { store, server } = await start()
    const peer = await extendedPeer(server)
    store.shut()
    peer.send(
      publishFrame('checked', '1'),
      publishFrame('checked', '"no number"'),
      publishFrame('nowhere', '2'),
      publishFrame('checked', '3'),
    )
    await store.waiting
    expect(await peer.rest()).toEqual([])
    store.open()
    expect(await answers(peer, 5)).toEqual([
      'at 0',
      'ack',
      `error ${ReasonCode.PayloadInvalid}`,
      `error ${ReasonCode.ChannelNotFound}`,
      'ack',
    ])
  })

  it('keeps its place among publishes to other channels on its stream, and holds up no other stream', async () => {
    const { store, server } = await start()
    const peer = await extendedPeer(server)
    store.shut()
    peer.send(publishFrame('orders', '1'), publishFrame('ticks', '2'), publishFrame('checked', '3'))
    peer.send(publishFrame('ticks', '4', { streamId: 3 }))
    expect(await peer.next()).toMatchObject({ type: 'PublishAck', streamId: 3, flags: 0 })
    await store.waiting
    expect(await peer.rest()).toEqual([])
    store.open()
    expect(await answers(peer, 6)).toEqual(['at 0', 'ack', 'at none', 'ack', 'at 0', 'ack'])
    // The stream remembers what its peer knows.
    peer.send(publishFrame('ticks', '5'))
    expect(await answers(peer, 2)).toEqual(['at none', 'ack'])
  })

  it('is refused if it cannot be stored, and the channel goes on', async () => {
    const { store, server } = await start()
    const peer = await extendedPeer(server)
    store.failure = new LiminalError('STORE_FULL', 'The disk is full.')
    peer.send(publishFrame('orders', '1'))
    expect(await answers(peer, 1)).toEqual([`error ${ReasonCode.StoreFull}`])
    store.failure = null
    peer.send(publishFrame('orders', '1'))
    expect(await answers(peer, 2)).toEqual(['at 0', 'ack'])
  })

  it('wants no acknowledgement if it says so, but hears of a failure', async () => {
    const { store, server } = await start()
    const peer = await extendedPeer(server)
    peer.send(publishFrame('orders', '1', { flags: PUBLISH_NO_ACK }))
    await server.bus.channel('orders').publish(2)
    expect(await peer.rest()).toEqual([])
    store.failure = new LiminalError('STORE_FULL', 'The disk is full.')
    peer.send(publishFrame('orders', '3', { flags: PUBLISH_NO_ACK }))
    expect(await answers(peer, 1)).toEqual([`error ${ReasonCode.StoreFull}`])
  })

  it('is waited for by a server that shuts down', async () => {
    const { store, server } = await start()
    const peer = await extendedPeer(server)
    store.shut()
    peer.send(publishFrame('orders', '1'))
    await store.waiting
    const closing = server.close()
    peer.send(publishFrame('orders', '2'))
    expect(await peer.rest()).toEqual([])
    store.open()
    expect(await answers(peer, 4)).toEqual(['at 0', 'ack', `error ${ReasonCode.ShuttingDown}`, 'Disconnect'])
    peer.destroy()
    await closing
  })

  it('is answered to a peer that only sends no more', async () => {
    const { store, server } = await start()
    const peer = await extendedPeer(server)
    store.shut()
    peer.send(publishFrame('orders', '1'))
    peer.socket.end()
    await store.waiting
    store.open()
    expect(await answers(peer, 2)).toEqual(['at 0', 'ack'])
    await peer.ended
  })

  it('is answered before a subscription behind it, which does not get it', async () => {
    const { store, server } = await start()
    const peer = await extendedPeer(server)
    store.shut()
    peer.send(
      publishFrame('checked', '"no number"', { flags: PUBLISH_NO_ACK }),
      publishFrame('orders', '1', { streamId: 3 }),
      subscribeFrame('orders', 5),
      publishFrame('orders', '2', { streamId: 3 }),
    )
    await store.waiting
    store.open()
    expect(await answers(peer, 4)).toEqual([`error ${ReasonCode.PayloadInvalid}`, 'at 0', 'ack', 'SubscribeAck'])
    const rest = [await peer.next(), await peer.next()].map(readable)
    expect(rest.sort()).toEqual(['Deliver', 'ack 1'])
  })

  it('is stored though its peer is gone', async () => {
    const { store, server } = await start()
    const peer = await extendedPeer(server)
    store.shut()
    peer.send(publishFrame('orders', '1'), DISCONNECT)
    await store.waiting
    await peer.ended
    store.open()
    const { position } = await server.bus.channel('orders').publish(2)
    expect(position).toBe(1n)
  })

  it('has no position that its peer could get wrong, on however many streams there were publishes', async () => {
    const { server } = await start()
    const peer = await extendedPeer(server)
    const streams = Array.from({ length: 4_096 }, (_, index) => 2 * index + 1)
    peer.send(...streams.map((streamId) => publishFrame('orders', '1', { streamId })))
    const heard = [...(await acknowledged(peer, streams.length))]
    // One more than are remembered: the others are told that nothing is known of them any more.
    peer.send(publishFrame('orders', '2', { streamId: 9_001 }))
    heard.push(...(await acknowledged(peer, 1)))
    peer.send(publishFrame('ticks', '3'))
    heard.push(...(await acknowledged(peer, 1)))
    expect(positionsOn(1, heard)).toEqual([0n, null])
    peer.send(publishFrame('orders', '4'))
    heard.push(...(await acknowledged(peer, 1)))
    expect(positionsOn(1, heard)).toEqual([0n, null, 4_097n])
  })
})

/** What comes up to so many acknowledgements. */
async function acknowledged(peer: RawPeer, count: number): Promise<Frame[]> {
  const frames: Frame[] = []
  for (let left = count; left > 0; ) {
    const frame = await peer.next()
    frames.push(frame)
    if (readable(frame) === 'ack') left--
  }
  return frames
}

/** What a peer takes for the positions of its publishes on a stream. */
function positionsOn(streamId: number, frames: readonly Frame[]): (bigint | null)[] {
  const positions: (bigint | null)[] = []
  let next: bigint | null = null
  for (const frame of frames) {
    if (frame.type !== 'PublishAck' || frame.streamId !== streamId) continue
    if ((frame.flags & ACK_POSITION) !== 0) next = frame.messageId === NO_POSITION ? null : frame.messageId
    else {
      positions.push(next)
      if (next !== null) next += 1n
    }
  }
  return positions
}
