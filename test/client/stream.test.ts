import { describe, expect, it } from 'vitest'
import type { Conversation } from '../../ts/bus/index.ts'
import {
  ALL_CAPABILITIES,
  Capability,
  type Frame,
  IN_PARTS,
  OPEN_REROUTE,
  REPLY_REQUESTED,
  ReasonCode,
} from '../../ts/protocol/index.ts'
import { failure, pair, settled, streams } from './harness.ts'
import { envelope, type FrameOf, type ScriptedPeer, textOf } from './scripted-server.ts'

const ASK = REPLY_REQUESTED | IN_PARTS

type Request = FrameOf<'ConversationMessage'>

function part(request: Request, payload: string, flags: number = IN_PARTS): Frame {
  const { streamId, conversationId } = request
  return { type: 'ConversationMessage', flags, streamId, conversationId, envelope: envelope(payload) }
}

function numbers(request: Request, from: number, to: number): Frame[] {
  return Array.from({ length: to - from }, (_, index) => part(request, `${from + index}`))
}

function accept({ streamId }: Request, count: number): Frame {
  return { type: 'Accept', flags: 0, streamId, referencedMessageId: `${count}` }
}

/** The request of a stream that has just begun. */
async function requested(peer: ScriptedPeer, openFlags = 0): Promise<Request> {
  expect(await peer.expect('ConversationOpen')).toMatchObject({ flags: openFlags, subject: 'work' })
  const request = await peer.expect('ConversationMessage')
  expect(request.flags).toBe(ASK)
  return request
}

async function conversing(peer: ScriptedPeer, converse: Promise<Conversation>): Promise<Conversation> {
  peer.send(await peer.expect('ConversationOpen'))
  return converse
}

describe('a stream', () => {
  it('asks with the first step of the loop, and closes behind the end', async () => {
    const { bus, peer, core } = await pair()
    const causal = { parentId: 'p', vectorClockEntry: null }
    const loop = bus.stream<number>('work', { n: 1 }, { causal })[Symbol.asyncIterator]()
    await settled(peer)
    const first = loop.next()
    const request = await requested(peer)
    expect(textOf(request)).toBe('{"n":1}')
    expect(request.envelope.causal).toEqual(causal)
    peer.send(part(request, '1'), part(request, '2'), part(request, '3', REPLY_REQUESTED))
    expect([await first, await loop.next(), await loop.next()].map(({ value }) => value)).toEqual([1, 2, 3])
    expect((await loop.next()).done).toBe(true)
    await peer.expect('ConversationClose')
    await settled(peer)
    expect(streams(core)).toBe(0)
  })

  it('ends without a value of its own', async () => {
    const { bus, peer } = await pair()
    const loop = bus.stream<number>('work', null)[Symbol.asyncIterator]()
    const first = loop.next()
    const request = await requested(peer)
    peer.send(part(request, '1'), part(request, '', REPLY_REQUESTED | IN_PARTS))
    expect((await first).value).toBe(1)
    expect(await loop.next()).toEqual({ done: true, value: undefined })
  })

  it('gives credit for every sixteen parts, and whenever none is left', async () => {
    const { bus, peer } = await pair()
    const loop = bus.stream<number>('work', null)[Symbol.asyncIterator]()
    const first = loop.next()
    const request = await requested(peer)
    peer.send(...numbers(request, 0, 40))
    await first
    for (let taken = 1; taken < 40; taken++) await loop.next()
    expect(await peer.rest()).toEqual([accept(request, 16), accept(request, 32)])
    const waiting = loop.next()
    expect(await peer.rest()).toEqual([accept(request, 40)])
    peer.send(part(request, '40'))
    expect((await waiting).value).toBe(40)
    const last = loop.next()
    expect(await peer.rest()).toEqual([accept(request, 41)])
    peer.send(part(request, '', ASK))
    expect((await last).done).toBe(true)
  })

  it('fails if the server sends more than it may, behind what it may', async () => {
    const { bus, peer } = await pair()
    const loop = bus.stream<number>('work', null)[Symbol.asyncIterator]()
    const first = loop.next()
    const request = await requested(peer)
    peer.send(...numbers(request, 0, 65))
    expect((await first).value).toBe(0)
    await peer.expect('ConversationClose')
    for (let taken = 1; taken < 64; taken++) expect((await loop.next()).value).toBe(taken)
    await failure(() => loop.next(), 'RESPONDER_FAILED')
  })

  it('tells the server when the loop is left', async () => {
    const { bus, peer, core } = await pair()
    const loop = bus.stream<number>('work', null)[Symbol.asyncIterator]()
    const first = loop.next()
    const request = await requested(peer)
    peer.send(...numbers(request, 0, 3))
    await first
    await loop.return?.()
    await peer.expect('ConversationClose')
    peer.send(part(request, '3'))
    await settled(peer)
    expect(streams(core)).toBe(0)
  })

  it('fails with the connection', async () => {
    const { bus, peer } = await pair()
    const loop = bus.stream<number>('work', null)[Symbol.asyncIterator]()
    const first = loop.next()
    const request = await requested(peer)
    peer.send(part(request, '1'))
    expect((await first).value).toBe(1)
    const second = failure(() => loop.next(), 'CONNECTION_LOST')
    peer.kill()
    await second
  })

  it('lets the request outlive its participant where it is told to', async () => {
    const { bus, peer } = await pair()
    const loop = bus.stream('work', null, { onCrash: 'route-to-next' })[Symbol.asyncIterator]()
    const first = loop.next()
    const request = await requested(peer, OPEN_REROUTE)
    peer.send(part(request, '1', REPLY_REQUESTED))
    expect((await first).value).toBe(1)
  })

  it('of a conversation is given up alone', async () => {
    const { bus, peer, core } = await pair()
    const conversation = await conversing(peer, bus.converse('work'))
    const loop = conversation.stream<number>(1)[Symbol.asyncIterator]()
    const first = loop.next()
    const request = await peer.expect('ConversationMessage')
    expect(request).toMatchObject({ flags: ASK, conversationId: conversation.id })
    expect(request.streamId).not.toBe(Number(conversation.id))
    peer.send(part(request, '1'))
    await first
    await loop.return?.()
    const { streamId } = request
    const reasonCode = ReasonCode.Aborted
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId, reasonCode })
    expect(streams(core)).toBe(1)
  })

  it('of a conversation fails with it', async () => {
    const { bus, peer } = await pair()
    const conversation = await conversing(peer, bus.converse('work', { deadlineMs: 20 }))
    const loop = conversation.stream(1)[Symbol.asyncIterator]()
    await failure(() => loop.next(), 'TIMEOUT')
    await failure(() => conversation.closed, 'TIMEOUT')
  })

  it.each<[string, number, string]>([
    ['STREAMS', ALL_CAPABILITIES & ~Capability.STREAMS, 'fail'],
    ['WORK', ALL_CAPABILITIES & ~Capability.WORK, 'route-to-next'],
  ])('sends nothing to a server that has not granted %s', async (_name, capabilities, onCrash) => {
    const { bus, peer, core } = await pair({}, capabilities)
    const options = { onCrash: onCrash === 'fail' ? onCrash : ('route-to-next' as const) } as const
    await failure(() => bus.stream('work', 1, options)[Symbol.asyncIterator]().next(), 'NOT_SUPPORTED')
    await settled(peer)
    expect(streams(core)).toBe(0)
  })
})
