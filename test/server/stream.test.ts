import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type Frame, IN_PARTS, OPEN_OFFER, REPLY_REQUESTED, ReasonCode } from '../../ts/protocol/index.ts'
import { deferred, extendedPeer, startServer } from './fixture.ts'
import { messageFrame, openFrame, type RawPeer, textOf } from './raw-peer.ts'

const ASK = REPLY_REQUESTED | IN_PARTS

function accept(streamId: number, count: number | string): Frame {
  return { type: 'Accept', flags: 0, streamId, referencedMessageId: String(count) }
}

function giveUp(streamId: number, conversationId: bigint): Frame {
  const reasonCode = ReasonCode.Aborted
  return { type: 'ConversationError', flags: 0, streamId, conversationId, reasonCode, message: null }
}

/** An asker, a responder behind a connection, and the request of a stream between them. */
async function streaming() {
  const server = await startServer()
  const responder = await extendedPeer(server)
  responder.send(openFrame(1n, 'work', { flags: OPEN_OFFER }))
  const asker = await extendedPeer(server)
  asker.send(openFrame(1n, 'work'), messageFrame(1n, 'go', { streamId: 3, flags: ASK }))
  const open = await responder.expect('ConversationOpen')
  const { streamId, flags } = await responder.expect('ConversationMessage')
  expect(flags).toBe(ASK)
  const reply = (payload: string, replyFlags: number): Frame =>
    messageFrame(open.conversationId, payload, { streamId, flags: replyFlags })
  return { server, asker, responder, id: open.conversationId, streamId, reply }
}

async function parts(peer: RawPeer, count: number): Promise<string[]> {
  const texts: string[] = []
  while (texts.length < count) {
    const part = await peer.expect('ConversationMessage')
    expect(part).toMatchObject({ flags: IN_PARTS, streamId: 3 })
    texts.push(textOf(part))
  }
  return texts
}

describe('replies in parts', () => {
  it.each([
    ['with a value', REPLY_REQUESTED, 'c'],
    ['without one', REPLY_REQUESTED | IN_PARTS, ''],
  ])('are relayed in order, and so is their end %s', async (_how, flags, payload) => {
    const { server, asker, responder, reply } = await streaming()
    responder.send(reply('a', IN_PARTS), reply('b', IN_PARTS), reply(payload, flags))
    expect(await parts(asker, 2)).toEqual(['a', 'b'])
    const end = await asker.expect('ConversationMessage')
    expect([end.flags, end.streamId, textOf(end)]).toEqual([flags, 3, payload])
    expect(server.sessions.map(({ pendingRequests }) => pendingRequests)).toEqual([0, 0])
    responder.send(reply('late', IN_PARTS))
    await responder.rest()
    expect(await asker.rest()).toEqual([])
  })

  it('end with an error behind the parts before it', async () => {
    const { asker, responder, id, streamId, reply } = await streaming()
    const reasonCode = ReasonCode.ResponderFailed
    const message = 'out of parts'
    const failed: Frame = { type: 'ConversationError', flags: 0, streamId, conversationId: id, reasonCode, message }
    responder.send(reply('a', IN_PARTS), failed)
    expect(await parts(asker, 1)).toEqual(['a'])
    expect(await asker.expect('ConversationError')).toMatchObject({ streamId: 3, reasonCode, message })
  })

  it('get the credit that the asker gives, and none that is no news', async () => {
    const { asker, responder, streamId, reply } = await streaming()
    responder.send(reply('a', IN_PARTS), reply('b', IN_PARTS), reply('c', IN_PARTS))
    await parts(asker, 3)
    // Not counts; on no stream of parts; taken before; more than were sent.
    asker.send(
      accept(3, 'two'),
      accept(3, '-1'),
      accept(99, 2),
      accept(3, 2),
      accept(3, 2),
      accept(3, 1),
      accept(3, 70),
    )
    expect(await asker.rest()).toEqual([])
    expect(await responder.rest()).toEqual([accept(streamId, 2), accept(streamId, 3)])
  })

  it('fail if there are more than 64 that nobody has taken, and nothing else does', async () => {
    const { asker, responder, id, streamId, reply } = await streaming()
    asker.send(messageFrame(1n, 'other', { streamId: 5 }))
    const other = await responder.expect('ConversationMessage')
    responder.send(...Array.from({ length: 64 }, (_, index) => reply(`${index}`, IN_PARTS)))
    await parts(asker, 64)
    asker.send(accept(3, 1))
    await responder.expect('Accept')
    responder.send(reply('one more', IN_PARTS), reply('one too many', IN_PARTS))
    await parts(asker, 1)
    const reasonCode = ReasonCode.ResponderFailed
    expect(await asker.expect('ConversationError')).toMatchObject({ streamId: 3, reasonCode })
    expect(await responder.expect('ConversationError')).toMatchObject({ streamId, conversationId: id })
    responder.send(messageFrame(id, 'fine', { streamId: other.streamId }))
    expect(textOf(await asker.expect('ConversationMessage'))).toBe('fine')
  })

  it('fail where one reply was asked for, and the responder hears of it', async () => {
    const { asker, responder, id, reply } = await streaming()
    asker.send(messageFrame(1n, 'once', { streamId: 5 }))
    const once = await responder.expect('ConversationMessage')
    expect(once.flags).toBe(REPLY_REQUESTED)
    responder.send(messageFrame(id, 'a', { streamId: once.streamId, flags: IN_PARTS }))
    const failed = await asker.expect('ConversationError')
    expect(failed).toMatchObject({ streamId: 5, reasonCode: ReasonCode.ResponderFailed })
    expect(await responder.expect('ConversationError')).toMatchObject({ streamId: once.streamId })
    responder.send(reply('last', REPLY_REQUESTED))
    expect(textOf(await asker.expect('ConversationMessage'))).toBe('last')
  })

  it('are not wanted any more once the asker says so', async () => {
    const { server, asker, responder, id, streamId, reply } = await streaming()
    responder.send(reply('a', IN_PARTS))
    await parts(asker, 1)
    asker.send(giveUp(3, 1n))
    expect(await responder.expect('ConversationError')).toMatchObject({ streamId, conversationId: id })
    responder.send(reply('b', IN_PARTS), reply('c', REPLY_REQUESTED))
    await responder.rest()
    expect(await asker.rest()).toEqual([])
    expect(server.sessions.map(({ conversations }) => conversations)).toEqual([0, 1])
  })

  it('go on for as long as somebody takes them', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => {
      vi.useRealTimers()
    })
    const server = await startServer({ keepaliveMs: 0 })
    const next: (() => void)[] = []
    server.bus.respond('slow', async function* () {
      for (let index = 0; ; index++) {
        yield index
        await new Promise<void>((resolve) => next.push(resolve))
      }
    })
    const asker = await extendedPeer(server)
    asker.send(openFrame(1n, 'slow'), messageFrame(1n, '1', { streamId: 3, flags: ASK }))
    for (let count = 1; count <= 4; count++) {
      expect(await parts(asker, 1)).toEqual([`${count - 1}`])
      asker.send(accept(3, count))
      expect(await asker.rest()).toEqual([])
      vi.advanceTimersByTime(400_000)
      next.shift()?.()
    }
    expect(await parts(asker, 1)).toEqual(['4'])
    vi.advanceTimersByTime(400_000)
    vi.advanceTimersByTime(400_000)
    expect(await asker.expect('ConversationError')).toMatchObject({ streamId: 3, reasonCode: ReasonCode.Timeout })
  })

  it('stop where the asker reads nothing: what waits for it stays small', async () => {
    const limits = { outboxBytes: 256 * 1024, pendingRequestBytesPerConnection: 4 * 1024 * 1024 }
    const server = await startServer({ limits })
    const made = [0, 0]
    const full = deferred()
    const part = new Uint8Array(512 * 1024)
    server.bus.respond<Uint8Array>(
      'large',
      async function* ([which]) {
        for (;;) {
          made[which]++
          if (made[0] >= 2 && made[1] >= 2) full.resolve()
          yield part
        }
      },
      { payload: 'bytes' },
    )
    const asker = await extendedPeer(server)
    asker.socket.pause()
    asker.send(openFrame(1n, 'large'))
    for (const which of [0, 1]) {
      asker.send(messageFrame(1n, Uint8Array.of(which), { streamId: 3 + 2 * which, flags: ASK }))
    }
    await full.promise
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    // A mebibyte each, the one more that is made while it is full not counted.
    expect(Math.max(...made)).toBeLessThanOrEqual(3)
    expect(server.sessions[0].outboxBytes).toBeLessThanOrEqual(2 * 1024 * 1024 + 8 * 1024)
    const before = made[0]
    asker.socket.resume()
    for (let count = 0; count < 4; count++) await asker.expect('ConversationMessage')
    asker.send(accept(3, 2))
    await asker.expect('ConversationMessage')
    expect(made[0]).toBeGreaterThan(before)
  })

  it('fail where too many of them wait for one asker', async () => {
    const limits = { outboxBytes: 64 * 1024, pendingRequestBytesPerConnection: 1024 * 1024 }
    const server = await startServer({ limits })
    const first = deferred()
    const last = deferred()
    let running = 0
    server.bus.respond(
      'large',
      async function* () {
        running++
        try {
          for (;;) yield new Uint8Array(256 * 1024)
        } finally {
          first.resolve()
          if (--running === 0) last.resolve()
        }
      },
      { payload: 'bytes' },
    )
    const asker = await extendedPeer(server)
    asker.socket.pause()
    const streams = Array.from({ length: 40 }, (_, index) => 3 + 2 * index)
    asker.send(openFrame(1n, 'large'), ...streams.map((streamId) => messageFrame(1n, '', { streamId, flags: ASK })))
    await first.promise
    asker.socket.resume()
    const failed = (await asker.until('ConversationError')).at(-1)
    expect(failed).toMatchObject({ reasonCode: ReasonCode.LimitExceeded })
    asker.destroy()
    await last.promise
  })
})
