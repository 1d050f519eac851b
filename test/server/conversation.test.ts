import { describe, expect, it } from 'vitest'
import type { Behaviour } from '../../ts/bus/index.ts'
import { CONFIRM, REPLY_REQUESTED, ReasonCode } from '../../ts/protocol/index.ts'
import { SESSION_CLOSED } from '../../ts/server/index.ts'
import { deferred, diagnosed, extendedPeer, plainPeer, startServer } from './fixture.ts'
import { closeFrame, messageFrame, NO_CAUSE, NO_SCHEMA, openFrame, PING, textOf } from './raw-peer.ts'

/** A server whose subject `work` is answered by `behaviour`, in bytes. */
async function serverWith(behaviour: Behaviour<Uint8Array>, options: Parameters<typeof startServer>[0] = {}) {
  const server = await startServer(options)
  await server.bus.respond('work', behaviour, { payload: 'bytes' }).ready()
  return server
}

const upper: Behaviour<Uint8Array> = (request) => Buffer.from(Buffer.from(request).toString().toUpperCase())

/** Answers only when told, in any order. */
function onDemand() {
  const requests = new Map<string, { reply: (text: string) => void; signal: AbortSignal }>()
  const arrivals: ((text: string) => void)[] = []
  const behaviour: Behaviour<Uint8Array> = (request, context) => {
    const { promise, resolve } = deferred<Uint8Array>()
    const text = Buffer.from(request).toString()
    requests.set(text, { reply: (reply) => resolve(Buffer.from(reply)), signal: context.signal })
    for (const arrival of arrivals.splice(0)) arrival(text)
    return promise
  }
  const arrived = async (text: string) => {
    for (;;) {
      const request = requests.get(text)
      if (request !== undefined) return request
      await new Promise<string>((resolve) => arrivals.push(resolve))
    }
  }
  return { behaviour, arrived }
}

describe('conversations', () => {
  it('answers on the stream of the request, with flag 0x01, no schema and no cause', async () => {
    const peer = await plainPeer(await serverWith(upper))
    peer.send(openFrame(7n, 'work'), messageFrame(7n, 'hello', { streamId: 5 }))
    const reply = await peer.expect('ConversationMessage')
    expect(reply).toMatchObject({ flags: REPLY_REQUESTED, streamId: 5, conversationId: 7n })
    expect(reply.envelope.causal).toEqual(NO_CAUSE)
    expect(Buffer.from(reply.envelope.schemaId).equals(NO_SCHEMA)).toBe(true)
    expect(textOf(reply)).toBe('HELLO')
  })

  it('opens and closes silently for a peer of 1.0', async () => {
    const server = await serverWith(upper)
    const peer = await plainPeer(server)
    peer.send(openFrame(1n, 'work', { flags: CONFIRM }))
    expect(await peer.rest()).toEqual([])
    expect(server.sessions[0].conversations).toBe(1)
    peer.send(closeFrame(1n, { flags: CONFIRM }))
    expect(await peer.rest()).toEqual([])
    expect(server.sessions[0].conversations).toBe(0)
  })

  it('confirms open and close where that was granted and asked for', async () => {
    const peer = await extendedPeer(await serverWith(upper))
    const open = openFrame(1n, 'work', { flags: CONFIRM })
    const close = closeFrame(1n, { flags: CONFIRM, streamId: 3 })
    peer.send(open, close, close, openFrame(2n, 'work'))
    expect(await peer.rest()).toEqual([open, close, close])
  })

  it.each([
    ['extended', ReasonCode.NoResponder],
    ['plain', ReasonCode.ServerError],
  ])(
    'refuses a subject that nobody answers, to a peer that is %s, on the stream of the open',
    async (kind, reasonCode) => {
      const server = await startServer()
      const peer = await (kind === 'extended' ? extendedPeer(server) : plainPeer(server))
      peer.send(openFrame(1n, 'nobody', { streamId: 9 }))
      expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 9, conversationId: 1n, reasonCode })
    },
  )

  it('answers with echo where the bus falls back to it', async () => {
    const peer = await plainPeer(await startServer({ echoFallback: true }))
    peer.send(openFrame(1n, 'nobody'), messageFrame(1n, '"hi"'))
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('"hi"')
  })

  it('refuses an id that is open, and leaves the conversation as it is', async () => {
    const peer = await extendedPeer(await serverWith(upper))
    peer.send(openFrame(1n, 'work'), openFrame(1n, 'work', { streamId: 3 }), messageFrame(1n, 'a', { streamId: 5 }))
    expect(await peer.expect('ConversationError')).toMatchObject({
      streamId: 3,
      reasonCode: ReasonCode.ConversationExists,
    })
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('A')
  })

  it('keeps the ids of two connections apart', async () => {
    const server = await serverWith(upper)
    const [one, two] = [await plainPeer(server), await plainPeer(server)]
    one.send(openFrame(1n, 'work'))
    two.send(openFrame(1n, 'work'), closeFrame(1n))
    expect(await two.rest()).toEqual([])
    one.send(messageFrame(1n, 'mine'))
    expect(textOf(await one.expect('ConversationMessage'))).toBe('MINE')
  })

  it('refuses a message to a conversation that is not open', async () => {
    const peer = await extendedPeer(await serverWith(upper))
    peer.send(messageFrame(4n, 'x', { streamId: 11 }))
    const reasonCode = ReasonCode.ConversationNotFound
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 11, conversationId: 4n, reasonCode })
  })

  it('sends no reply to a message that wants none', async () => {
    const received = deferred<string>()
    const peer = await plainPeer(
      await serverWith((request) => {
        received.resolve(Buffer.from(request).toString())
        return Buffer.from('unwanted')
      }),
    )
    peer.send(openFrame(1n, 'work'), messageFrame(1n, 'fire', { flags: 0 }))
    expect(await received.promise).toBe('fire')
    expect(await peer.rest()).toEqual([])
  })

  it('brings replies out of order to their own requests', async () => {
    const { behaviour, arrived } = onDemand()
    const peer = await plainPeer(await serverWith(behaviour))
    peer.send(openFrame(1n, 'work'), messageFrame(1n, 'a', { streamId: 3 }), messageFrame(1n, 'b', { streamId: 5 }))
    ;(await arrived('b')).reply('for b')
    const second = await peer.expect('ConversationMessage')
    expect([second.streamId, textOf(second)]).toEqual([5, 'for b'])
    ;(await arrived('a')).reply('for a')
    const first = await peer.expect('ConversationMessage')
    expect([first.streamId, textOf(first)]).toEqual([3, 'for a'])
  })

  it('fails a request of 1.0 after the reply timeout, and drops its late reply', async () => {
    const { behaviour, arrived } = onDemand()
    const peer = await plainPeer(await serverWith(behaviour, { replyTimeoutMs: 40 }))
    peer.send(openFrame(1n, 'work'), messageFrame(1n, 'slow', { streamId: 3 }))
    const slow = await arrived('slow')
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 3, reasonCode: ReasonCode.ServerError })
    expect(slow.signal.aborted).toBe(true)
    slow.reply('late')
    peer.send(messageFrame(1n, 'quick', { streamId: 5 }))
    ;(await arrived('quick')).reply('in time')
    const reply = await peer.expect('ConversationMessage')
    expect([reply.streamId, textOf(reply)]).toEqual([5, 'in time'])
  })

  it('leaves the deadline to a peer with extensions', async () => {
    const { behaviour, arrived } = onDemand()
    const server = await serverWith(behaviour, { replyTimeoutMs: 10 })
    const patient = await extendedPeer(server)
    const plain = await plainPeer(server)
    patient.send(openFrame(1n, 'work'), messageFrame(1n, 'patient'))
    const request = await arrived('patient')
    plain.send(openFrame(1n, 'work'), messageFrame(1n, 'plain'))
    await plain.expect('ConversationError')
    expect(await patient.rest()).toEqual([])
    request.reply('worth it')
    expect(textOf(await patient.expect('ConversationMessage'))).toBe('worth it')
  })

  it.each([
    ['extended', ReasonCode.ResponderFailed],
    ['plain', ReasonCode.ServerError],
  ])('tells a peer that is %s of a behaviour that throws, in its words', async (kind, reasonCode) => {
    const server = await serverWith(() => {
      throw new Error('out of stock \ud800')
    })
    const peer = await (kind === 'extended' ? extendedPeer(server) : plainPeer(server))
    peer.send(openFrame(1n, 'work'), messageFrame(1n, 'x', { streamId: 5 }), PING)
    const error = (await peer.until('ConversationError')).at(-1)
    expect(error).toMatchObject({ streamId: 5, reasonCode, message: expect.stringContaining('out of stock') })
  })

  it('answers requests that are underway when their conversation is closed', async () => {
    const { behaviour, arrived } = onDemand()
    const server = await serverWith(behaviour)
    const peer = await extendedPeer(server)
    const close = closeFrame(1n, { flags: CONFIRM })
    peer.send(openFrame(1n, 'work'), messageFrame(1n, 'a', { streamId: 3 }), messageFrame(1n, 'b', { streamId: 5 }))
    const { signal } = await arrived('b')
    peer.send(close)
    const reasonCode = ReasonCode.ConversationClosed
    expect(await peer.rest()).toMatchObject([{ streamId: 3, reasonCode }, { streamId: 5, reasonCode }, close])
    expect(signal.aborted).toBe(true)

    const plain = await plainPeer(server)
    plain.send(openFrame(1n, 'work'), messageFrame(1n, 'c', { streamId: 3 }))
    await arrived('c')
    plain.send(closeFrame(1n))
    expect(await plain.rest()).toMatchObject([{ streamId: 3, reasonCode: ReasonCode.ServerError }])
  })

  it('lets a peer with extensions give one request up', async () => {
    const { behaviour, arrived } = onDemand()
    const peer = await extendedPeer(await serverWith(behaviour))
    const giveUp = { type: 'ConversationError', flags: 0, streamId: 3, reasonCode: 0x8009, message: null } as const
    peer.send(openFrame(1n, 'work'), messageFrame(1n, 'a', { streamId: 3 }), messageFrame(1n, 'b', { streamId: 5 }))
    const [a, b] = [await arrived('a'), await arrived('b')]
    peer.send({ ...giveUp, conversationId: 2n })
    expect(await peer.rest()).toEqual([])
    expect(a.signal.aborted).toBe(false)
    peer.send({ ...giveUp, conversationId: 1n }, { ...giveUp, conversationId: 1n })
    expect(await peer.rest()).toEqual([])
    expect([a.signal.aborted, b.signal.aborted]).toEqual([true, false])
    a.reply('late')
    b.reply('for b')
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('for b')
  })

  it('takes a closed id again, with nothing left of the old conversation', async () => {
    const { behaviour, arrived } = onDemand()
    const peer = await plainPeer(await serverWith(behaviour))
    peer.send(openFrame(1n, 'work'), messageFrame(1n, 'old', { streamId: 3 }))
    const old = await arrived('old')
    peer.send(closeFrame(1n), openFrame(1n, 'work'), messageFrame(1n, 'new', { streamId: 5 }))
    await peer.expect('ConversationError')
    old.reply('late')
    ;(await arrived('new')).reply('fresh')
    const reply = await peer.expect('ConversationMessage')
    expect([reply.streamId, textOf(reply)]).toEqual([5, 'fresh'])
  })

  it('does not let a wedged conversation delay another', async () => {
    const { behaviour, arrived } = onDemand()
    const server = await serverWith(behaviour)
    await server.bus.respond('quick', upper, { payload: 'bytes' }).ready()
    const peer = await plainPeer(server)
    peer.send(openFrame(1n, 'work'), messageFrame(1n, 'stuck', { streamId: 3 }))
    await arrived('stuck')
    peer.send(openFrame(2n, 'quick'), messageFrame(2n, 'b', { streamId: 5 }))
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('B')
  })

  it('tells the behaviours of a connection that is gone', async () => {
    const { behaviour, arrived } = onDemand()
    const server = await serverWith(behaviour)
    const peer = await extendedPeer(server)
    peer.send(openFrame(1n, 'work'), messageFrame(1n, 'a'))
    const { signal } = await arrived('a')
    const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve))
    peer.destroy()
    await aborted
    await Promise.resolve()
    expect(server.sessions).toEqual([])
  })

  it('answers a peer that has closed its sending side, then closes', async () => {
    const { behaviour, arrived } = onDemand()
    const server = await serverWith(behaviour)
    const closed = diagnosed(SESSION_CLOSED)
    const peer = await plainPeer(server)
    peer.send(openFrame(1n, 'work'), messageFrame(1n, 'a'))
    peer.socket.end()
    ;(await arrived('a')).reply('for a')
    const frames = await peer.until('ConversationMessage')
    expect(frames.map((frame) => frame.type).filter((type) => type !== 'Ping')).toEqual(['ConversationMessage'])
    await peer.ended
    await closed
    expect(server.sessions).toEqual([])
  })

  it('limits conversations and requests of a connection, and leaves those there are alone', async () => {
    const { behaviour, arrived } = onDemand()
    const server = await serverWith(behaviour, {
      limits: { conversationsPerConnection: 2, pendingRequestsPerConnection: 2 },
    })
    const peer = await extendedPeer(server)
    peer.send(openFrame(1n, 'work'), openFrame(2n, 'work'), openFrame(3n, 'work', { streamId: 9 }))
    const reasonCode = ReasonCode.LimitExceeded
    expect(await peer.rest()).toMatchObject([
      { type: 'ConversationError', streamId: 9, conversationId: 3n, reasonCode },
    ])
    peer.send(
      messageFrame(1n, 'a', { streamId: 11 }),
      messageFrame(2n, 'b', { streamId: 13 }),
      messageFrame(1n, 'c', { streamId: 15 }),
    )
    expect(await peer.rest()).toMatchObject([
      { type: 'ConversationError', streamId: 15, conversationId: 1n, reasonCode },
    ])
    ;(await arrived('a')).reply('A')
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('A')
    peer.send(messageFrame(1n, 'c', { streamId: 17 }))
    ;(await arrived('c')).reply('C')
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('C')
  })

  it('refuses a reply that is larger than a frame may be', async () => {
    const peer = await extendedPeer(await serverWith(() => new Uint8Array(4_096), { limits: { frameBytes: 2_048 } }))
    peer.send(openFrame(1n, 'work'), messageFrame(1n, 'a', { streamId: 5 }))
    const reasonCode = ReasonCode.LimitExceeded
    expect(await peer.expect('ConversationError')).toMatchObject({ streamId: 5, reasonCode })
  })

  it('brings many large replies at once to a peer that reads, past the size of its outbox', async () => {
    const server = await serverWith(() => new Uint8Array(100_000), { limits: { outboxBytes: 3_000_000 } })
    const peer = await plainPeer(server)
    const requests = 50
    peer.send(
      openFrame(1n, 'work'),
      ...Array.from({ length: requests }, (_, n) => messageFrame(1n, 'x', { streamId: 2 * n + 1 })),
    )
    const streams = new Set<number>()
    for (let n = 0; n < requests; n++) streams.add((await peer.expect('ConversationMessage')).streamId)
    expect(streams.size).toBe(requests)
  })
})
