import { describe, expect, it, onTestFinished } from 'vitest'
import type { LiminalError } from '../../ts/errors.ts'
import { exitKilled } from '../../ts/process/index.ts'
import { HAS_HEAD, PUSH_CANCEL } from '../../ts/protocol/index.ts'
import type { BusServer, PushAwaiter } from '../../ts/server/index.ts'
import { eventually } from '../eventually.ts'
import { extendedPeer, plainPeer, startServer, strangePeer } from './fixture.ts'
import { DISCONNECT, type RawPeer } from './raw-peer.ts'
import { answerFrame, pushed, registered, replyFrame } from './work-frames.ts'
import { turns } from './worker-fixture.ts'

const BYTES = Uint8Array.of(1, 2, 255)

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString()
}

/** The code of an error that is thrown or rejected with. */
async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action()
  } catch (error) {
    return (error as LiminalError).code
  }
  return expect.fail('nothing failed')
}

/** The session of the only peer. */
function only(server: BusServer): number {
  expect(server.sessions).toHaveLength(1)
  return server.sessions[0].id
}

describe('a push', () => {
  it.each([
    ['1.0', plainPeer],
    ['the extensions', extendedPeer],
  ])('reaches a peer of %s bare, on stream 1, and its answer whoever pushed', async (_of, connect) => {
    const server = await startServer()
    const peer = await connect(server)
    const push = server.push(only(server), BYTES)
    const frame = await peer.expect('Push')
    expect(frame).toMatchObject({ flags: 0, streamId: 1, correlationId: 1n, payload: BYTES })
    expect(push.correlationId).toBe(1n)
    peer.send(replyFrame(1n, 'heard'))
    expect(text(await push.reply())).toBe('heard')
    // Also later, and again.
    expect(text(await push.reply({ timeoutMs: 0 }))).toBe('heard')
    expect(await peer.rest()).toEqual([])
  })

  it('carries no payload too, and the bytes of the moment', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    const bytes = Buffer.from('now')
    const one = server.push(only(server), bytes)
    bytes.fill(0)
    const two = server.push(only(server), new Uint8Array(0))
    expect([(await pushed(peer)).text, (await pushed(peer)).text]).toEqual(['now', ''])
    peer.send(replyFrame(two.correlationId, ''), replyFrame(one.correlationId, 'one'))
    expect([text(await one.reply()), text(await two.reply())]).toEqual(['one', ''])
  })

  it('has an id that no other push of the server has', async () => {
    const server = await startServer()
    const peers = [await extendedPeer(server), await plainPeer(server)]
    const ids = server.sessions.flatMap(({ id }) => [0, 1].map(() => server.push(id, BYTES).correlationId))
    expect(ids).toEqual([1n, 2n, 3n, 4n])
    for (const peer of peers) peer.destroy()
  })

  it('is answered by its own peer only, once', async () => {
    const server = await startServer()
    const peer = await plainPeer(server)
    const id = only(server)
    const thief = await plainPeer(server)
    const push = server.push(id, BYTES)
    thief.send(replyFrame(push.correlationId, 'stolen'))
    expect(await thief.rest()).toEqual([])
    peer.send(
      replyFrame(2n ** 64n - 1n, 'no such id'),
      replyFrame(2n ** 53n + 1n, 'no such id'),
      replyFrame(0n, 'no id'),
      replyFrame(push.correlationId, 'mine'),
      replyFrame(push.correlationId, 'again'),
    )
    expect(text(await push.reply())).toBe('mine')
    expect(await peer.rest()).toMatchObject([{ type: 'Push' }])
  })

  it.each<['failed' | 'handed-back', string]>([
    ['failed', 'The push failed: Out of paper.'],
    ['handed-back', 'The push was not taken: Out of paper.'],
  ])('that its peer calls %s fails with its words', async (status, message) => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    const push = server.push(only(server), BYTES)
    peer.send(answerFrame(push.correlationId, { status, message: 'Out of paper.' }))
    const error = await push.reply().catch((thrown: LiminalError) => thrown)
    expect(error).toMatchObject({ code: 'REMOTE_ERROR' })
    expect(String(error)).toBe(`LiminalError: ${message}`)
  })

  it('that its peer extends waits on, and may be done with a head', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    const push = server.push(only(server), BYTES)
    await pushed(peer)
    peer.send(answerFrame(push.correlationId, { status: 'extend', leaseMs: 5 }))
    expect(await peer.rest()).toEqual([])
    peer.send(answerFrame(push.correlationId, { status: 'done' }, 'after all'))
    expect(text(await push.reply())).toBe('after all')
  })

  it('whose answer has a head that cannot be read fails alone; at a peer of 1.0 there are no heads', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    const push = server.push(only(server), BYTES)
    await pushed(peer)
    peer.send(replyFrame(push.correlationId, 'x', HAS_HEAD))
    expect(await codeOf(() => push.reply())).toBe('PAYLOAD_INVALID')
    expect(await peer.rest()).toEqual([])
    peer.send(DISCONNECT)
    await peer.ended
    const plain = await plainPeer(server)
    const session = server.sessions.at(-1)?.id ?? 0
    const other = server.push(session, BYTES)
    plain.send(replyFrame(other.correlationId, 'x', HAS_HEAD))
    expect(text(await other.reply())).toBe('x')
  })
})

describe('waiting for the answer to a push', () => {
  it('may end and begin again: the push goes on', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    const push = server.push(only(server), BYTES)
    expect(await codeOf(() => push.reply({ timeoutMs: 1 }))).toBe('TIMEOUT')
    expect(await codeOf(() => push.reply({ signal: AbortSignal.abort() }))).toBe('ABORTED')
    await peer.expect('Push')
    expect(await peer.rest()).toEqual([])
    peer.send(replyFrame(push.correlationId, 'late'))
    expect(text(await push.reply())).toBe('late')
  })

  it('ends with the deadline of the push: the peer is told, and a late answer dropped', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    const push = server.push(only(server), BYTES, { timeoutMs: 5 })
    expect(await codeOf(() => push.reply())).toBe('TIMEOUT')
    expect(await codeOf(() => push.reply({ timeoutMs: 60_000 }))).toBe('TIMEOUT')
    await peer.expect('Push')
    expect(await peer.expect('Push')).toMatchObject({ flags: PUSH_CANCEL, correlationId: 1n, streamId: 1 })
    peer.send(replyFrame(1n, 'late'))
    expect(await peer.rest()).toEqual([])
    expect(await codeOf(() => push.reply())).toBe('TIMEOUT')
  })

  it('ends with the abort of the push, and not with one after the answer', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    const controllers = [new AbortController(), new AbortController()]
    const [one, two] = controllers.map(({ signal }) => server.push(only(server), BYTES, { signal }))
    peer.send(replyFrame(two.correlationId, 'in time'))
    await peer.rest()
    for (const controller of controllers) controller.abort('enough')
    await expect(one.reply()).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' })
    expect(text(await two.reply())).toBe('in time')
    expect(await peer.rest()).toMatchObject([{ type: 'Push', flags: PUSH_CANCEL, correlationId: one.correlationId }])
  })

  it('of a peer of 1.0 ends silently', async () => {
    const server = await startServer()
    const peer = await plainPeer(server)
    const controller = new AbortController()
    const push = server.push(only(server), BYTES, { signal: controller.signal })
    controller.abort()
    expect(await codeOf(() => push.reply())).toBe('ABORTED')
    await peer.expect('Push')
    expect(await peer.rest()).toEqual([])
  })

  it.each<[string, (peer: RawPeer, server: BusServer) => unknown]>([
    ['says Disconnect', (peer) => peer.send(DISCONNECT)],
    ['ends its side', (peer) => peer.socket.end()],
    ['is gone', (peer) => peer.destroy()],
    ['resets', (peer) => peer.socket.resetAndDestroy()],
    ['breaks the protocol', (peer) => peer.write(Uint8Array.of(0x01, 0, 0, 0, 9, 0, 0, 0, 0, 0))],
    ['is killed', (_peer, server) => server.bus.processes.exit(server.sessions[0].pid, exitKilled())],
  ])('ends with CONNECTION_LOST at once when the peer %s, for this peer alone', async (_how, finish) => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    const one = server.push(only(server), BYTES, { timeoutMs: 60_000 })
    const answered = server.push(only(server), BYTES)
    peer.send(replyFrame(answered.correlationId, 'kept'))
    await peer.rest()
    const other = await extendedPeer(server)
    const two = server.push(server.sessions[1].id, BYTES)
    finish(peer, server)
    expect(await codeOf(() => one.reply())).toBe('CONNECTION_LOST')
    expect(text(await answered.reply())).toBe('kept')
    other.send(replyFrame(two.correlationId, 'alive'))
    expect(text(await two.reply())).toBe('alive')
  })

  it('ends in the turn in which the session is killed', async () => {
    const server = await startServer()
    await extendedPeer(server)
    const push = server.push(only(server), BYTES)
    let code: string | null = null
    push.reply().catch((error: LiminalError) => {
      code = error.code
    })
    server.bus.processes.exit(server.sessions[0].pid, exitKilled())
    await Promise.resolve().then(() => undefined)
    await new Promise<void>((resolve) => process.nextTick(resolve))
    expect(code).toBe('CONNECTION_LOST')
  })

  it('bothers nobody who does not wait', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    server.push(only(server), BYTES)
    peer.destroy()
    const heard: unknown[] = []
    const listener = (error: unknown): void => {
      heard.push(error)
    }
    process.on('unhandledRejection', listener)
    onTestFinished(() => {
      process.off('unhandledRejection', listener)
    })
    await server.close()
    await turns()
    expect(heard).toEqual([])
  })
})

describe('a push that is not sent', () => {
  it('is said by the call: no such connection, or one that is not connected or over', async () => {
    const server = await startServer()
    expect(await codeOf(() => server.push(7, BYTES))).toBe('CONNECTION_LOST')
    const stranger = await strangePeer(server)
    await eventually(() => expect(server.sessions).toHaveLength(1))
    expect(await codeOf(() => server.push(1, BYTES))).toBe('CONNECTION_LOST')
    stranger.destroy()
    const peer = await extendedPeer(server)
    peer.send(DISCONNECT)
    await peer.ended
    expect(await codeOf(() => server.push(2, BYTES))).toBe('CONNECTION_LOST')
  })

  it.each<[string, (server: BusServer) => unknown]>([
    ['an id that is none', (server) => server.push(0, BYTES)],
    // What a program without types may do.
    ['a payload that is no bytes', (server) => server.push(1, 'text' as unknown as Uint8Array)],
    ['a timeout that no timer keeps', (server) => server.push(1, BYTES, { timeoutMs: 1e12 })],
    ['an unknown option', (server) => server.push(1, BYTES, { deadline: 1 } as object)],
  ])('is said for %s', async (_what, call) => {
    const server = await startServer()
    await extendedPeer(server)
    expect(await codeOf(() => call(server))).toBe('INVALID_ARGUMENT')
  })

  it('is said for a signal that is aborted already', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    expect(await codeOf(() => server.push(1, BYTES, { signal: AbortSignal.abort() }))).toBe('ABORTED')
    expect(await peer.rest()).toEqual([])
  })

  it('is said beyond the cap, which every settled push makes room in', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    const controller = new AbortController()
    const { signal } = controller
    const pushes = Array.from({ length: 32 }, (_, index) => server.push(1, BYTES, index === 0 ? { signal } : {}))
    expect(await codeOf(() => server.push(1, BYTES))).toBe('LIMIT_EXCEEDED')
    controller.abort()
    pushes.push(server.push(1, BYTES))
    expect(await codeOf(() => server.push(1, BYTES))).toBe('LIMIT_EXCEEDED')
    peer.send(replyFrame(pushes[1].correlationId, 'x'), replyFrame(pushes[1].correlationId, 'x'))
    await pushes[1].reply()
    server.push(1, BYTES)
    expect(await codeOf(() => server.push(1, BYTES))).toBe('LIMIT_EXCEEDED')
  })

  it('does not count work', async () => {
    const server = await startServer({ limits: { pushesPerConnection: 1 } })
    const peer = await extendedPeer(server)
    await registered(peer)
    const push = server.push(1, BYTES)
    const answer = server.bus.ask('work', 1)
    await pushed(peer)
    const { id } = await pushed(peer)
    expect(await codeOf(() => server.push(1, BYTES))).toBe('LIMIT_EXCEEDED')
    peer.send(replyFrame(id, '1'), replyFrame(push.correlationId, 'x'))
    expect(await answer).toBe(1)
    await push.reply()
    server.push(1, BYTES)
  })

  it('is said for a payload that no frame carries, to the byte', async () => {
    const server = await startServer({ limits: { frameBytes: 4_096 } })
    const peer = await extendedPeer(server)
    expect(await codeOf(() => server.push(1, new Uint8Array(4_096 - 21)))).toBe('LIMIT_EXCEEDED')
    const push = server.push(1, new Uint8Array(4_096 - 22))
    expect((await pushed(peer)).text).toHaveLength(4_096 - 22)
    peer.send(replyFrame(push.correlationId, 'all'))
    expect(text(await push.reply())).toBe('all')
    // What was not sent holds no place.
    for (let count = 0; count < 40; count++) {
      expect(await codeOf(() => server.push(1, new Uint8Array(5_000)))).toBe('LIMIT_EXCEEDED')
    }
    server.push(1, BYTES)
  })

  it('is said when the connection is too far behind, and goes when it has caught up', async () => {
    const server = await startServer({ limits: { outboxBytes: 1024 * 1024 } })
    const peer = await plainPeer(server)
    peer.socket.pause()
    const sent: PushAwaiter[] = []
    const code = await codeOf(() => {
      for (let count = 0; count < 33; count++) sent.push(server.push(1, new Uint8Array(1024 * 1024)))
    })
    expect(code).toBe('OUTBOX_FULL')
    peer.socket.resume()
    for (const push of sent) {
      await peer.expect('Push')
      peer.send(replyFrame(push.correlationId, 'read'))
    }
    for (const push of sent) expect(text(await push.reply())).toBe('read')
    const push = server.push(1, BYTES)
    expect((await pushed(peer)).id).toBe(push.correlationId)
  })

  it('is said while the server drains, which waits for those underway', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    const push = server.push(1, BYTES)
    await pushed(peer)
    let isClosed = false
    const closed = server.close().then(() => {
      isClosed = true
    })
    expect(await codeOf(() => server.push(1, BYTES))).toBe('SHUTTING_DOWN')
    expect(await peer.rest()).toEqual([])
    expect(isClosed).toBe(false)
    peer.send(replyFrame(push.correlationId, 'the last'))
    expect(text(await push.reply())).toBe('the last')
    await peer.expect('Disconnect')
    peer.destroy()
    await closed
  })
})
