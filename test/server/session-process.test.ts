import { describe, expect, it, onTestFinished } from 'vitest'
import { connect } from '../../ts/client/index.ts'
import { exitError, exitKilled, exitNormal } from '../../ts/process/index.ts'
import { OPEN_DISPATCH, OPEN_OFFER } from '../../ts/protocol/index.ts'
import { type BusServer, SESSION_CLOSED, SESSION_OPENED, type SessionClosed } from '../../ts/server/index.ts'
import { deferred, diagnosed, extendedPeer, plainPeer, startServer, strangePeer } from './fixture.ts'
import { DISCONNECT, messageFrame, openFrame, type RawPeer, subscribeFrame } from './raw-peer.ts'
import { announced, pushed, registered, registerFrame, replyFrame } from './work-frames.ts'
import { failureOf, live, turns } from './worker-fixture.ts'

/** What a server holds for nobody. */
function held(server: BusServer) {
  return { sessions: server.sessions.length, processes: server.bus.processes.size, conversations: live(server) }
}

function closed(sessionId: number): Promise<SessionClosed> {
  return diagnosed<SessionClosed>(SESSION_CLOSED, (event) => event.sessionId === sessionId)
}

/** The process of the session that came last. */
function latest(server: BusServer): number {
  const session = server.sessions.at(-1)
  if (session === undefined) throw new Error('There is no session.')
  return session.pid
}

describe('the process of a session', () => {
  it('is its own, and known by name', async () => {
    const server = await startServer()
    const before = server.bus.processes.size
    await extendedPeer(server)
    await plainPeer(server)
    const pids = server.sessions.map(({ pid }) => pid)
    expect(new Set(pids).size).toBe(2)
    expect(pids.map((pid) => server.bus.processes.info(pid)?.name)).toEqual(['session', 'session'])
    expect(server.bus.processes.size).toBe(before + 2)
  })

  it.each([
    ['killed', exitKilled()],
    ['ended with an error', exitError(new Error('Out of order.'))],
    ['asked to end', exitNormal()],
  ])('ends exactly its connection when it is %s', async (_how, reason) => {
    const server = await startServer()
    const peers = [await extendedPeer(server), await plainPeer(server), await extendedPeer(server)]
    const [, victim] = server.sessions
    const gone = closed(victim.id)
    server.bus.processes.exit(victim.pid, reason)
    await peers[1].ended
    expect((await gone).error).toMatchObject({ code: 'CONNECTION_LOST' })
    expect(server.bus.processes.get(victim.pid)).toBe(undefined)
    expect(server.sessions).toHaveLength(2)
    expect([await peers[0].rest(), await peers[2].rest()]).toEqual([[], []])
    // A new one is taken as before.
    await extendedPeer(server)
  })

  it.each<[string, (peer: RawPeer) => unknown, string]>([
    ['Disconnect', (peer) => peer.send(DISCONNECT), 'normal'],
    ['a lost socket', (peer) => peer.destroy(), 'noconnection'],
    ['the end of the socket', (peer) => peer.socket.end(), 'noconnection'],
    ['broken frames', (peer) => peer.write(Uint8Array.of(0x01, 0, 0, 0, 9, 0, 0, 0, 0, 0)), 'noconnection'],
  ])('is over after %s, and says how', async (_what, finish, is) => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    const session = server.bus.processes.get(latest(server))
    finish(peer)
    expect((await session?.exited)?.reason.is).toBe(is)
  })

  it('is not there for a connection that was never taken', async () => {
    const server = await startServer({ limits: { connections: 1 } })
    await extendedPeer(server)
    const before = server.bus.processes.size
    const refused = await strangePeer(server)
    await refused.ended
    expect(server.bus.processes.size).toBe(before)
  })

  it('takes its work along in the turn in which it is killed: others have it at once', async () => {
    const server = await startServer()
    const [one, two] = [await extendedPeer(server), await extendedPeer(server)]
    await registered(one)
    await announced(one, 2)
    const outcomes = [server.bus.dispatch('work', 1), server.bus.dispatch('work', 2)]
    await pushed(one)
    await pushed(one)
    await registered(two, { identity: 'two' })
    await announced(two, 2)
    const [victim] = server.sessions
    server.bus.processes.exit(victim.pid, exitKilled())
    let isLater = false
    setImmediate(() => {
      isLater = true
    })
    await new Promise<void>((resolve) => process.nextTick(resolve))
    expect(isLater).toBe(false)
    expect(server.workers).toMatchObject([{ identity: 'two', inFlight: 2 }])
    const again = [await pushed(two), await pushed(two)]
    expect(again.map(({ text, work }) => [text, work?.attempt])).toEqual([
      ['1', 2],
      ['2', 2],
    ])
    two.send(...again.map(({ id, text }) => replyFrame(id, text)))
    for (const outcome of outcomes) {
      expect(await outcome).toMatchObject({
        deliveredTo: 'two',
        attempts: 2,
        reroutedFrom: [{ consumer: 'one', reason: 'killed' }],
      })
    }
  })

  it('takes only work of its own along when it answers one subject in two ways', async () => {
    const server = await startServer()
    const [one, two] = [await extendedPeer(server), await extendedPeer(server)]
    await registered(one)
    const outcome = server.bus.dispatch('work', 1, { maxAttempts: 2 })
    await pushed(one)
    one.send(openFrame(1n, 'work', { flags: OPEN_OFFER }))
    await one.rest()
    await registered(two, { identity: 'two' })
    one.destroy()
    const { id, work } = await pushed(two)
    expect(work?.attempt).toBe(2)
    two.send(replyFrame(id, '1'))
    expect(await outcome).toMatchObject({ deliveredTo: 'two', attempts: 2 })
  })

  it('fails who asked in the turn in which it is killed', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await registered(peer)
    const conversation = await server.bus.converse('work')
    const asked = failureOf(conversation.request(1))
    await pushed(peer)
    server.bus.processes.exit(latest(server), exitKilled())
    expect(live(server)).toBe(0)
    expect((await asked).code).toBe('PARTICIPANT_GONE')
    expect((await failureOf(conversation.request(2))).code).toMatch(/PARTICIPANT_GONE|CONVERSATION_CLOSED/)
  })
})

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason))
  })
}

/** How far a connection is when its process is killed. */
const PHASES: [string, (server: BusServer) => Promise<unknown>][] = [
  [
    'not connected',
    async (server) => {
      const opened = diagnosed(SESSION_OPENED)
      const peer = await strangePeer(server)
      await opened
      return peer
    },
  ],
  ['connected', plainPeer],
  [
    'subscribed',
    async (server) => {
      const peer = await extendedPeer(server)
      peer.send(subscribeFrame('news', 1))
      await peer.expect('SubscribeAck')
    },
  ],
  [
    'asking',
    async (server) => {
      const peer = await extendedPeer(server)
      peer.send(openFrame(1n, 'never'), messageFrame(1n, '1'))
      await peer.rest()
    },
  ],
  [
    'dispatching',
    async (server) => {
      const peer = await extendedPeer(server)
      peer.send(openFrame(1n, 'never', { flags: OPEN_DISPATCH }), messageFrame(1n, '1'))
      await peer.rest()
    },
  ],
  [
    'answering',
    async (server) => {
      const peer = await extendedPeer(server)
      peer.send(openFrame(1n, 'offered', { flags: OPEN_OFFER }))
      await peer.rest()
      void failureOf(server.bus.ask('offered', 1))
      await peer.until('ConversationMessage')
    },
  ],
  [
    'registering',
    async (server) => {
      const peer = await extendedPeer(server)
      peer.send(registerFrame({ identity: 'undecided' }))
      await peer.rest()
    },
  ],
  [
    'working',
    async (server) => {
      const peer = await extendedPeer(server)
      await registered(peer)
      void failureOf(server.bus.dispatch('work', 1, { maxAttempts: 1 }))
      await pushed(peer)
    },
  ],
  [
    'pushed to',
    async (server) => {
      const peer = await extendedPeer(server)
      const session = server.sessions.at(-1)?.id ?? 0
      void failureOf(server.push(session, Uint8Array.of(1)).reply())
      await peer.expect('Push')
    },
  ],
  [
    'leaving',
    async (server) => {
      const peer = await extendedPeer(server)
      await registered(peer)
      peer.send(DISCONNECT)
    },
  ],
]

const ROUNDS = 1_000

describe('1,000 connections that are killed', () => {
  it.each(PHASES)('while they are %s leave nothing behind', async (_phase, prepare) => {
    const server = await startServer({
      channels: [{ name: 'news' }],
      workers: {
        onRegister: ({ identity }) => (identity === 'undecided' ? new Promise(() => undefined) : undefined),
      },
    })
    // Dispatched work keeps its place until whoever is at it has heard that nobody waits.
    server.bus.respond('never', (_message, { signal }) => aborted(signal))
    await turns()
    const before = held(server)
    for (let round = 0; round < ROUNDS; round++) {
      await prepare(server)
      const [session] = server.sessions
      if (session === undefined) continue
      const gone = closed(session.id)
      server.bus.processes.exit(session.pid, exitKilled())
      await gone
    }
    await turns()
    expect(held(server)).toEqual(before)
  })
})

describe('sockets destroyed in the middle of work', () => {
  it('lose nothing and answer nothing twice, over 200 rounds', async () => {
    const server = await startServer()
    const before = held(server)
    const answers: number[] = []
    for (let round = 0; round < 200; round++) {
      const [one, two] = [await extendedPeer(server), await extendedPeer(server)]
      await registered(one, { identity: 'one' })
      await announced(one, 4)
      const outcomes = [0, 1, 2, 3].map((index) => server.bus.dispatch<number>('work', round * 4 + index))
      const first = [await pushed(one), await pushed(one), await pushed(one), await pushed(one)]
      await registered(two, { identity: 'two' })
      await announced(two, 4)
      // The first is done; the answer to the second is on its way when the socket is destroyed.
      one.send(replyFrame(first[0].id, first[0].text))
      expect((await outcomes[0]).deliveredTo).toBe('one')
      one.send(replyFrame(first[1].id, first[1].text))
      one.destroy()
      const settled = Promise.all(outcomes)
      const answering = answerAll(two)
      const rerouted = (await settled).filter(({ attempts }) => attempts === 2)
      for (const { value } of await settled) answers.push(value)
      two.destroy()
      // What was answered went to nobody else, and what was not went to one.
      expect(await answering).toEqual(rerouted.map(({ value }) => String(value)))
      expect(rerouted.length).toBeGreaterThanOrEqual(2)
    }
    expect(answers).toEqual(Array.from({ length: 800 }, (_, index) => index))
    await turns()
    await server.close()
    expect(held(server)).toMatchObject({ sessions: 0, conversations: before.conversations })
  })
})

/** Answers what comes with itself, until the connection ends. Resolves with all of it. */
async function answerAll(peer: RawPeer): Promise<string[]> {
  const texts: string[] = []
  try {
    for (;;) {
      const { id, text, work } = await pushed(peer)
      if (work === null) continue
      texts.push(text)
      peer.send(replyFrame(id, text))
    }
  } catch {
    return texts
  }
}

describe('the listing of processes', () => {
  it('says whose each is', async () => {
    const server = await startServer()
    const client = await connect(server.url)
    onTestFinished(() => client.close())
    const started = deferred()
    server.bus.respond('greet', () => {
      started.resolve()
      return new Promise(() => undefined)
    })
    await client.respond('far', () => 1).ready()
    await client.worker.register({ identity: 'ada', taskQueue: 'sums' }, () => 1).ready()
    server.bus.worker.register({ identity: 'bob', taskQueue: 'sums' }, () => 1)
    const asking = server.bus.ask('greet', 1).catch(() => {})
    await started.promise
    const [{ id, remoteAddress }] = server.sessions
    const lines = server.bus.processes.list().map(({ name, about }) => `${name}: ${about}`)
    expect(lines.sort()).toEqual([
      'conversation: greet',
      'responder: $administration',
      'responder: ada of sums',
      'responder: bob of sums',
      'responder: far',
      'responder: greet',
      `session: connection ${id} from ${remoteAddress}`,
    ])
    await server.close({ graceMs: 0 })
    await asking
  })
})
