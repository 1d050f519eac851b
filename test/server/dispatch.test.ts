import { describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  type Frame,
  HAS_HEAD,
  type HeadField,
  OPEN_DISPATCH,
  OPEN_OFFER,
  REPLY_REQUESTED,
  ReasonCode,
  readHead,
  readOutcomeHead,
  readRequestHead,
  withHead,
} from '../../ts/protocol/index.ts'
import { HandedBackError } from '../../ts/routing/index.ts'
import { deferred, extendedPeer, plainPeer, startServer } from './fixture.ts'
import { closeFrame, messageFrame, openFrame, type RawPeer, textOf } from './raw-peer.ts'

const HEADED = REPLY_REQUESTED | HAS_HEAD

function openForDispatch(id: bigint, subject: string): Frame {
  return openFrame(id, subject, { flags: OPEN_DISPATCH })
}

function dispatchFrame(id: bigint, payload: string, head: HeadField = { dispatch: {} }, streamId = 3): Frame {
  return messageFrame(id, withHead(head, Buffer.from(payload)), { streamId, flags: HEADED })
}

/** The next reply to a dispatch. */
async function outcome(peer: RawPeer) {
  const reply = await peer.expect('ConversationMessage')
  expect(reply.flags).toBe(HEADED)
  return { text: textOf(reply), head: readOutcomeHead(readHead(reply.envelope.payload)), streamId: reply.streamId }
}

describe('dispatches of a peer', () => {
  it('wait for somebody to come, and are answered with how it went', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    peer.send(openForDispatch(1n, 'work'), dispatchFrame(1n, '21', { dispatch: { key: 'k' } }))
    expect(await peer.rest()).toEqual([])
    const keys: (string | null)[] = []
    server.bus.respond<number>('work', (n, { key }) => {
      keys.push(key)
      return n * 2
    })
    const { text, head, streamId } = await outcome(peer)
    expect(text).toBe('42')
    expect(streamId).toBe(3)
    expect(head).toMatchObject({ attempts: 1, reroutedFrom: [] })
    expect(keys).toEqual(['k'])
    peer.send(messageFrame(1n, '4', { streamId: 5 }))
    expect((await outcome(peer)).text).toBe('8')
    expect(server.sessions[0].conversations).toBe(1)
    peer.send(closeFrame(1n))
    expect(await peer.rest()).toEqual([])
    expect(server.sessions[0]).toMatchObject({ conversations: 0, pendingRequests: 0 })
  })

  it('mean nothing to a peer without extensions', async () => {
    const peer = await plainPeer(await startServer())
    peer.send(openForDispatch(1n, 'work'))
    expect((await peer.expect('ConversationError')).message).toContain("'work'")
  })

  it('fail with the reason, and leave the conversation open', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    const head = { dispatch: { whenUnavailable: 'fail' } } as const
    peer.send(openForDispatch(1n, 'work'), dispatchFrame(1n, '1', head))
    const refused = await peer.expect('ConversationError')
    expect(refused).toMatchObject({ streamId: 3, reasonCode: ReasonCode.NoResponder })
    server.bus.respond('work', () => {
      throw new Error('not this one')
    })
    peer.send(dispatchFrame(1n, '1', head, 5))
    const failed = await peer.expect('ConversationError')
    expect(failed).toMatchObject({ streamId: 5, reasonCode: ReasonCode.ResponderFailed })
    expect(failed.message).toContain('not this one')
  })

  it.each<[string, Frame, number]>([
    ['no JSON', messageFrame(1n, Uint8Array.of(0, 0, 0, 1, 0x7b), { flags: HEADED }), ReasonCode.PayloadInvalid],
    ['no length', messageFrame(1n, 'ab', { flags: HEADED }), ReasonCode.PayloadInvalid],
    [
      'a wrong type',
      messageFrame(1n, Buffer.concat([Uint8Array.of(0, 0, 0, 22), Buffer.from('{"dispatch":{"key":1}}')]), {
        flags: HEADED,
      }),
      ReasonCode.PayloadInvalid,
    ],
    [
      'a key that is no name',
      dispatchFrame(1n, '1', { dispatch: { key: 'k'.repeat(256) } }),
      ReasonCode.InvalidArgument,
    ],
    [
      'a time that no timer keeps',
      dispatchFrame(1n, '1', { dispatch: { timeoutMs: 1e15 } }),
      ReasonCode.InvalidArgument,
    ],
  ])('with a head that has %s fail alone', async (_what, frame, reasonCode) => {
    const server = await startServer()
    server.bus.respond<number>('work', (n) => n)
    const peer = await extendedPeer(server)
    peer.send(openForDispatch(1n, 'work'), frame, messageFrame(1n, '7', { streamId: 5 }))
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 3, reasonCode })
    expect((await outcome(peer)).text).toBe('7')
  })

  it.each<[string, (peer: RawPeer) => void]>([
    ['closes', (peer) => peer.send(closeFrame(1n))],
    [
      'gives it up',
      (peer) => {
        const reasonCode = ReasonCode.Aborted
        peer.send({ type: 'ConversationError', flags: 0, streamId: 3, conversationId: 1n, reasonCode, message: null })
      },
    ],
    ['is gone', (peer) => peer.destroy()],
  ])('are aborted when the peer %s', async (_how, leave) => {
    const server = await startServer()
    const begun = deferred<AbortSignal>()
    server.bus.respond('work', (_work, { signal }) => {
      begun.resolve(signal)
      return new Promise(() => undefined)
    })
    const peer = await extendedPeer(server)
    peer.send(openForDispatch(1n, 'work'), dispatchFrame(1n, '1'))
    const signal = await begun.promise
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve))
    leave(peer)
    await aborted
  })

  it('are told of as many hands as fit, the last of them', async () => {
    const server = await startServer()
    for (let index = 0; index < 40; index++) {
      const identity = `${index} ${'x'.repeat(240)}`
      const registration = { identity, taskQueue: 'work' }
      server.bus.worker.register(registration, (_work, { attempt }) => {
        if (attempt < 40) throw new HandedBackError('Not me.')
        return 'done'
      })
    }
    const peer = await extendedPeer(server)
    peer.send(openForDispatch(1n, 'work'), dispatchFrame(1n, '1', { dispatch: { maxAttempts: 100 } }))
    const { text, head } = await outcome(peer)
    expect(text).toBe('"done"')
    expect(head?.attempts).toBe(40)
    expect(head?.reroutedFrom.length).toBeGreaterThan(5)
    expect(head?.reroutedFrom.at(-1)?.attempt).toBe(39)
  })

  it('may take longer than any request', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => {
      vi.useRealTimers()
    })
    const server = await startServer({ keepaliveMs: 0 })
    const finish = deferred<string>()
    const asked = deferred<string>()
    server.bus.respond('work', () => finish.promise)
    server.bus.respond('asked', () => asked.promise)
    const peer = await extendedPeer(server)
    peer.send(openForDispatch(1n, 'work'), dispatchFrame(1n, '1'), openFrame(2n, 'asked', { streamId: 5 }))
    peer.send(messageFrame(2n, '1', { streamId: 7 }))
    expect(await peer.rest()).toEqual([])
    vi.advanceTimersByTime(700_000)
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 7, reasonCode: ReasonCode.Timeout })
    finish.resolve('done')
    expect((await outcome(peer)).text).toBe('"done"')
  })
})

describe('heads', () => {
  it('are taken off where they say nothing that matters', async () => {
    const server = await startServer()
    server.bus.respond<number>('work', (n) => n + 1)
    const peer = await extendedPeer(server)
    peer.send(openFrame(1n, 'work'), dispatchFrame(1n, '1'), dispatchFrame(1n, '2', {}, 5))
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('2')
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('3')
    peer.send(messageFrame(1n, 'x', { streamId: 7, flags: HEADED }), messageFrame(1n, '3', { streamId: 9 }))
    const reasonCode = ReasonCode.PayloadInvalid
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 7, reasonCode })
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('4')
  })

  it('tell a responder of the key and of the deadline', async () => {
    const server = await startServer()
    const responder = await extendedPeer(server)
    responder.send(openFrame(1n, 'work', { flags: OPEN_OFFER }))
    const peer = await extendedPeer(server)
    const before = Date.now()
    peer.send(openForDispatch(1n, 'work'))
    peer.send(dispatchFrame(1n, '1', { dispatch: { key: 'order-7', timeoutMs: 60_000 } }))
    await responder.expect('ConversationOpen')
    const request = await responder.expect('ConversationMessage')
    expect(request.flags).toBe(HEADED)
    const { key, attempt, deadline = 0 } = readRequestHead(readHead(request.envelope.payload))
    expect({ key, attempt }).toEqual({ key: 'order-7', attempt: undefined })
    // The system's clock is slewed while the server counts on a monotonic one.
    expect(deadline).toBeGreaterThanOrEqual(before + 59_900)
    expect(deadline).toBeLessThanOrEqual(Date.now() + 60_100)
    expect(textOf(request)).toBe('1')
  })
})
