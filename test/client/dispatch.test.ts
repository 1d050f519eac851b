import { describe, expect, it } from 'vitest'
import {
  ALL_CAPABILITIES,
  Capability,
  type Frame,
  HAS_HEAD,
  OPEN_DISPATCH,
  OPEN_REROUTE,
  REPLY_REQUESTED,
  ReasonCode,
  readDispatchHead,
  readHead,
  withHead,
} from '../../ts/protocol/index.ts'
import { DispatchError } from '../../ts/routing/index.ts'
import { failure, pair, settled, streams, until } from './harness.ts'
import { envelope, type FrameOf, type ScriptedPeer } from './scripted-server.ts'

const OUTCOME = { deliveredTo: 'one', attempts: 1, reroutedFrom: [], queuedMs: 0.5, durationMs: 2 }
const WITHOUT_WORK = ALL_CAPABILITIES & ~Capability.WORK

async function dispatched(peer: ScriptedPeer): Promise<FrameOf<'ConversationMessage'>> {
  expect(await peer.expect('ConversationOpen')).toMatchObject({ flags: OPEN_DISPATCH, subject: 'work' })
  return peer.expect('ConversationMessage')
}

function outcome({ streamId, conversationId }: FrameOf<'ConversationMessage'>, payload: string): Frame {
  const bytes = withHead({ outcome: OUTCOME }, Buffer.from(payload))
  return {
    type: 'ConversationMessage',
    flags: REPLY_REQUESTED | HAS_HEAD,
    streamId,
    conversationId,
    envelope: envelope(bytes),
  }
}

describe('a dispatch', () => {
  it('says how it is to be done, and how it went', async () => {
    const { bus, peer, core } = await pair()
    const pending = bus.dispatch<number>('work', { n: 1 }, { key: 'k', maxAttempts: 5, whenUnavailable: 'fail' })
    const request = await dispatched(peer)
    const headed = readHead(request.envelope.payload)
    expect(readDispatchHead(headed)).toMatchObject({ key: 'k', maxAttempts: 5, whenUnavailable: 'fail' })
    expect(Buffer.from(headed.payload).toString()).toBe('{"n":1}')
    peer.send(outcome(request, '7'))
    expect(await pending).toEqual({ ...OUTCOME, value: 7 })
    await peer.expect('ConversationClose')
    expect(streams(core)).toBe(0)
  })

  it('fails with what the server says', async () => {
    const { bus, peer } = await pair()
    const pending = failure(() => bus.dispatch('work', 1), 'PARTICIPANT_GONE')
    const { streamId, conversationId } = await dispatched(peer)
    const reasonCode = ReasonCode.ParticipantGone
    peer.send({ type: 'ConversationError', flags: 0, streamId, conversationId, reasonCode, message: 'all dead' })
    const error = await pending
    expect(error).toBeInstanceOf(DispatchError)
    expect(error.message).toBe('all dead')
  })

  it('is withdrawn by its signal and by its time, as a dispatch', async () => {
    const { bus, peer, core } = await pair()
    const leaving = new AbortController()
    const aborted = failure(() => bus.dispatch('work', 1, { signal: leaving.signal }), 'ABORTED')
    const { conversationId } = await dispatched(peer)
    const reason = new Error('changed my mind')
    leaving.abort(reason)
    expect(await peer.expect('ConversationClose')).toMatchObject({ conversationId })
    const error = await aborted
    expect(error).toBeInstanceOf(DispatchError)
    expect(error.cause).toBe(reason)
    const late = failure(() => bus.dispatch('work', 1, { timeoutMs: 20 }), 'TIMEOUT')
    await dispatched(peer)
    await peer.expect('ConversationClose')
    expect(await late).toBeInstanceOf(DispatchError)
    expect(streams(core)).toBe(0)
  })

  it('does not wait for a connection for ever', async () => {
    const { bus, core, peer } = await pair({ reconnect: { baseMs: 60_000, maxMs: 60_000 } })
    const lost = until(bus, 'disconnected')
    peer.kill()
    await lost
    await failure(() => bus.dispatch('work', 1, { timeoutMs: 20 }), 'TIMEOUT')
    await failure(() => bus.dispatch('work', 1, { waitMs: 20 }), 'TIMEOUT')
    expect(core.waitingCalls).toBe(0)
  })

  it('fails with the connection: whether it was done is unknown', async () => {
    const { bus, peer } = await pair()
    const pending = failure(() => bus.dispatch('work', 1), 'CONNECTION_LOST')
    await dispatched(peer)
    peer.kill()
    await pending
  })

  it.each<[string, (bus: Awaited<ReturnType<typeof pair>>['bus']) => Promise<unknown>]>([
    ['a dispatch', (bus) => bus.dispatch('work', 1)],
    ['an ask that outlives its participant', (bus) => bus.ask('work', 1, { onCrash: 'route-to-next' })],
    ['such a conversation', (bus) => bus.converse('work', { onCrash: 'route-to-next' })],
  ])('sends nothing of %s where WORK is not granted', async (_what, call) => {
    const { bus, peer, core } = await pair({}, WITHOUT_WORK)
    await failure(() => call(bus), 'NOT_SUPPORTED')
    await settled(peer)
    expect(streams(core)).toBe(0)
  })

  it('that waited for a connection fails likewise', async () => {
    const { server, bus, peer, core } = await pair()
    peer.kill()
    await until(bus, 'disconnected')
    const pending = failure(() => bus.dispatch('work', 1), 'NOT_SUPPORTED')
    const asked = failure(() => bus.ask('work', 1, { onCrash: 'route-to-next' }), 'NOT_SUPPORTED')
    const conversing = failure(() => bus.converse('work', { onCrash: 'route-to-next' }), 'NOT_SUPPORTED')
    const next = await server.connection()
    await next.accept(WITHOUT_WORK)
    await Promise.all([pending, asked, conversing])
    await settled(next)
    expect(streams(core)).toBe(0)
  })
})

describe('an ask', () => {
  it('that outlives its participant says so when it opens', async () => {
    const { bus, peer } = await pair()
    const pending = bus.ask('work', 1, { onCrash: 'route-to-next' })
    expect((await peer.expect('ConversationOpen')).flags).toBe(OPEN_REROUTE)
    const { streamId, conversationId } = await peer.expect('ConversationMessage')
    peer.send({ type: 'ConversationMessage', flags: 1, streamId, conversationId, envelope: envelope('2') })
    expect(await pending).toBe(2)
  })
})
