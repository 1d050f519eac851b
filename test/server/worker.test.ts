import { describe, expect, it } from 'vitest'
import { exitKilled } from '../../ts/process/index.ts'
import { WORKER_LEAVE } from '../../ts/protocol/index.ts'
import { type BusServer, WORKER_HOOK_FAILED, type WorkerInfo } from '../../ts/server/index.ts'
import { deferred, diagnosed, extendedPeer, plainPeer, startServer } from './fixture.ts'
import { DISCONNECT, messageFrame, openFrame, PING, type RawPeer } from './raw-peer.ts'
import { leaveFrame, pushed, registered, registerFrame, replyFrame } from './work-frames.ts'
import { failureOf, hooked, live, turns, unregistered } from './worker-fixture.ts'

async function refusal(peer: RawPeer): Promise<string> {
  const { outcome, flags } = await peer.expect('WorkerRegisterAck')
  expect({ flags, status: outcome.status }).toEqual({ flags: 0, status: 'Rejected' })
  return String(outcome.reason)
}

describe('a registration', () => {
  it('is accepted without a hook, and told with everything that the worker said', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    const activities = [{ name: 'pay', inputSchemaJson: '{}', outputSchemaJson: '{}' }]
    const fields = { namespaces: ['n'], activityTypes: ['pay'], node: 'berlin', activities }
    await registered(peer, fields)
    const [session] = server.sessions
    expect(server.workers).toEqual([
      {
        sessionId: session.id,
        sessionPid: session.pid,
        identity: 'one',
        taskQueue: 'work',
        capacity: 1,
        inFlight: 0,
        ...fields,
      },
    ])
  })

  it('tells a node that is absent from one that is empty, which is no node', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    peer.send(registerFrame({ node: '' }))
    expect(await refusal(peer)).toContain('node')
    await registered(peer, { node: null })
    expect(server.workers[0].node).toBe(null)
  })

  it('is accepted by the hook, and unregistered once when the connection closes', async () => {
    const seen: WorkerInfo[] = []
    const { server, heard } = await hooked({ onRegister: (worker) => seen.push(worker) })
    const peer = await extendedPeer(server)
    await registered(peer)
    expect(seen[0]).toMatchObject({ identity: 'one', taskQueue: 'work', sessionId: server.sessions[0].id })
    expect(heard).toEqual(['register one'])
    const over = unregistered('one')
    peer.send(DISCONNECT)
    await over
    await peer.ended
    await turns()
    expect(heard).toEqual(['register one', 'unregister one'])
    expect(server.workers).toEqual([])
  })

  it.each<[string, () => unknown, string]>([
    [
      'throws',
      () => {
        throw new Error('We are full.')
      },
      'We are full.',
    ],
    ['rejects', () => Promise.reject(new Error('We are full.')), 'We are full.'],
    ['throws what is no error', () => Promise.reject('full'), "'full'"],
    [
      'throws an error whose message is no text',
      () => Promise.reject(Object.assign(new Error(), { message: 5 })),
      'Error',
    ],
    [
      'throws what no frame carries as it is',
      () => Promise.reject(new Error(`\ud800${'x'.repeat(5_000)}`)),
      '\ufffdxxx',
    ],
  ])(
    'is refused by a hook that %s: with its reason, nothing stored, no unregister',
    async (_how, onRegister, reason) => {
      const { server, heard } = await hooked({ onRegister })
      const peer = await extendedPeer(server)
      peer.send(registerFrame())
      expect(await refusal(peer)).toContain(reason)
      expect(server.workers).toEqual([])
      expect((await failureOf(server.bus.ask('work', 1))).code).toBe('NO_RESPONDER')
      peer.send(registerFrame({ identity: 'two' }))
      await refusal(peer)
      peer.send(DISCONNECT)
      await peer.ended
      await turns()
      expect(heard).toEqual(['register one', 'register two'])
    },
  )

  it('is decided by a slow hook while everything else on the connection goes on', async () => {
    const decision = deferred()
    const { server } = await hooked({ onRegister: () => decision.promise })
    const peer = await extendedPeer(server)
    server.bus.respond<number>('double', (n) => n * 2)
    peer.send(registerFrame(), openFrame(1n, 'double'), messageFrame(1n, '4'), PING)
    expect((await peer.until('Pong')).map(({ type }) => type)).toEqual(['Pong'])
    await peer.expect('ConversationMessage')
    expect(server.workers).toEqual([])
    decision.resolve()
    await peer.expect('WorkerRegisterAck')
    expect(server.workers).toHaveLength(1)
  })

  it.each([true, false])(
    'is unregistered once if its connection dies while the hook decides, and it accepts: %s',
    async (accepts) => {
      const decision = deferred()
      const gone = deferred<unknown>()
      const { server, heard } = await hooked({
        onRegister: (_worker, signal) => {
          signal.addEventListener('abort', () => gone.resolve(signal.reason))
          return decision.promise
        },
      })
      const peer = await extendedPeer(server)
      peer.send(registerFrame(), registerFrame({ identity: 'two' }))
      await peer.rest()
      peer.destroy()
      expect(await gone.promise).toMatchObject({ code: 'CONNECTION_LOST' })
      expect(heard).toEqual(['register one'])
      if (accepts) decision.resolve()
      else decision.reject(new Error('No.'))
      await turns()
      expect(heard).toEqual(accepts ? ['register one', 'unregister one'] : ['register one'])
    },
  )

  it('is refused when the hook takes too long, and unregistered when that accepts later', async () => {
    const decision = deferred()
    const late = deferred<unknown>()
    const { server, heard } = await hooked({
      registerTimeoutMs: 20,
      onRegister: (_worker, signal) => {
        signal.addEventListener('abort', () => late.resolve(signal.reason))
        return decision.promise
      },
    })
    const peer = await extendedPeer(server)
    peer.send(registerFrame())
    expect(await refusal(peer)).toContain('20 ms')
    expect(await late.promise).toMatchObject({ code: 'TIMEOUT' })
    expect(heard).toEqual(['register one'])
    decision.resolve()
    await turns()
    expect(heard).toEqual(['register one', 'unregister one'])
    expect(server.workers).toEqual([])
    peer.send(DISCONNECT)
    await peer.ended
    await turns()
    expect(heard).toEqual(['register one', 'unregister one'])
  })

  it('that is accepted while the server drains is not made', async () => {
    const decision = deferred()
    const { server, heard } = await hooked({ onRegister: () => decision.promise })
    const peer = await extendedPeer(server)
    server.bus.respond('slow', () => answer.promise)
    const answer = deferred<string>()
    peer.send(openFrame(1n, 'slow'), messageFrame(1n, '1'), registerFrame())
    expect(await peer.rest()).toEqual([])
    const closed = server.close()
    decision.resolve()
    await turns()
    expect(heard).toEqual(['register one', 'unregister one'])
    expect(server.workers).toEqual([])
    answer.resolve('done')
    expect((await peer.until('Disconnect')).map(({ type }) => type)).toEqual(['ConversationMessage', 'Disconnect'])
    peer.destroy()
    await closed
    expect(heard).toHaveLength(2)
  })

  it.each<[string, (peer: RawPeer, server: BusServer) => unknown]>([
    ['a Disconnect', (peer) => peer.send(DISCONNECT)],
    ['the end of the socket', (peer) => peer.socket.end()],
    ['a destroyed socket', (peer) => peer.destroy()],
    ['a reset', (peer) => peer.socket.resetAndDestroy()],
    ['bytes that are no frame', (peer) => peer.write(Uint8Array.of(0x01, 0, 0, 0, 9, 0, 0, 0, 0, 0))],
    ['a killed process', (_peer, server) => server.bus.processes.exit(server.sessions[0].pid, exitKilled())],
    ['a close of the server', (_peer, server) => void server.close()],
    ['a close without grace', (_peer, server) => void server.close({ graceMs: 0 })],
    ['its withdrawal', (peer) => peer.send(leaveFrame())],
    ['its replacement', (peer) => peer.send(registerFrame({ identity: 'two' }))],
  ])('is unregistered exactly once after %s', async (_what, finish) => {
    const { server, heard } = await hooked()
    const peer = await extendedPeer(server)
    await registered(peer)
    const over = unregistered('one')
    finish(peer, server)
    await over
    peer.destroy()
    await server.close()
    await turns()
    expect(heard.filter((word) => word === 'unregister one')).toHaveLength(1)
    expect(server.workers).toEqual([])
  })

  it('is unregistered though the hook for that fails, which is said', async () => {
    const failed = diagnosed<{ worker: WorkerInfo; error: unknown }>(WORKER_HOOK_FAILED)
    const { server } = await hooked({
      onUnregister: () => {
        throw new Error('Out of order.')
      },
    })
    const peer = await extendedPeer(server)
    await registered(peer)
    peer.send(leaveFrame())
    expect(await failed).toMatchObject({ worker: { identity: 'one' }, error: { message: 'Out of order.' } })
    expect(await peer.expect('WorkerRegisterAck')).toMatchObject({ flags: WORKER_LEAVE })
  })

  it('replaces the one before it, visibly, and what that one is at may still be answered', async () => {
    const { server, heard } = await hooked()
    const peer = await extendedPeer(server)
    await registered(peer)
    const first = server.bus.dispatch('work', 1)
    const { id } = await pushed(peer)
    await registered(peer, { identity: 'two' })
    expect(heard).toEqual(['register one', 'register two', 'unregister one'])
    expect(server.workers.map(({ identity }) => identity)).toEqual(['two'])
    const second = server.bus.dispatch('work', 2)
    const next = await pushed(peer)
    peer.send(replyFrame(id, '"first"'), replyFrame(next.id, '"second"'))
    expect(await first).toMatchObject({ value: 'first', deliveredTo: 'one', attempts: 1 })
    expect(await second).toMatchObject({ value: 'second', deliveredTo: 'two' })
    expect(live(server)).toBe(0)
  })

  it('that was replaced and had something underway loses it to others when the connection dies, none of them there', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await registered(peer)
    const first = server.bus.dispatch('work', 1, { maxAttempts: 2 })
    await pushed(peer)
    await registered(peer, { identity: 'two' })
    const other = await extendedPeer(server)
    await registered(other, { identity: 'three' })
    peer.destroy()
    const { id, work } = await pushed(other)
    expect(work).toMatchObject({ attempt: 2 })
    other.send(replyFrame(id, '3'))
    expect(await first).toMatchObject({ value: 3, deliveredTo: 'three', attempts: 2 })
  })

  it('that was replaced leaves nothing behind when its connection ends in good order', async () => {
    const server = await startServer()
    const empty = server.bus.processes.size
    const peer = await extendedPeer(server)
    await registered(peer)
    const conversation = await server.bus.converse('work')
    await registered(peer, { identity: 'two' })
    peer.send(DISCONNECT)
    await peer.ended
    expect((await failureOf(conversation.request(1))).code).toBe('CONVERSATION_CLOSED')
    await conversation.close()
    await turns()
    expect({ live: live(server), processes: server.bus.processes.size }).toEqual({ live: 0, processes: empty })
  })

  it('that is refused keeps the one before it', async () => {
    const { server, heard } = await hooked({
      onRegister: ({ identity }) => {
        if (identity === 'two') throw new Error('Only one.')
      },
    })
    const peer = await extendedPeer(server)
    await registered(peer)
    peer.send(registerFrame({ identity: 'two' }))
    expect(await refusal(peer)).toContain('Only one.')
    expect(heard).toEqual(['register one', 'register two'])
    const outcome = server.bus.dispatch('work', 1)
    peer.send(replyFrame((await pushed(peer)).id, '1'))
    expect((await outcome).deliveredTo).toBe('one')
  })

  it('is answered in its turn: sixteen wait for the one that is decided, more are refused behind them', async () => {
    const decision = deferred()
    const { server, heard } = await hooked({ onRegister: () => decision.promise })
    const peer = await extendedPeer(server)
    const identities = Array.from({ length: 19 }, (_, index) => `w${index}`)
    peer.send(...identities.map((identity) => registerFrame({ identity })), leaveFrame())
    expect(await peer.rest()).toEqual([])
    decision.resolve()
    for (let index = 0; index < 17; index++) {
      expect((await peer.expect('WorkerRegisterAck')).outcome.status).toBe('Accepted')
    }
    expect(await refusal(peer)).toContain('16 registrations')
    expect(await refusal(peer)).toContain('16 registrations')
    expect(await peer.expect('WorkerRegisterAck')).toMatchObject({
      flags: WORKER_LEAVE,
      outcome: { status: 'Rejected' },
    })
    expect(server.workers.map(({ identity }) => identity)).toEqual(['w16'])
    expect(heard.filter((word) => word.startsWith('unregister'))).toHaveLength(16)
    await registered(peer, { identity: 'later' })
  })

  it.each<[string, Parameters<typeof registerFrame>[0]]>([
    ['no identity', { identity: '' }],
    ['no task queue', { taskQueue: '' }],
    ['a task queue with a control character', { taskQueue: 'a\nb' }],
    ['an identity that is too long', { identity: 'x'.repeat(256) }],
    ['an empty namespace', { namespaces: [''] }],
    ['an empty activity type', { activityTypes: [''] }],
    ['a namespace that makes no tag', { namespaces: ['x'.repeat(250)] }],
    ['a node that makes no tag', { node: 'x'.repeat(251) }],
    ['too many tags', { namespaces: Array.from({ length: 200_000 }, (_, index) => `n${index}`) }],
  ])('is refused with %s, without asking the hook', async (_what, fields) => {
    const { server, heard } = await hooked()
    const peer = await extendedPeer(server)
    peer.send(registerFrame(fields))
    expect(await refusal(peer)).not.toBe('')
    expect(heard).toEqual([])
    expect(server.workers).toEqual([])
    await registered(peer)
  })

  it('may have an identity that another one would be given', async () => {
    const server = await startServer()
    const last = Math.max(...server.bus.processes.list().map(({ pid }) => pid), 0)
    for (let index = 0; index < 10; index++) {
      const peer = await extendedPeer(server)
      await registered(peer, { identity: `responder#${last + 40 + index}` })
    }
    const { size } = server.bus.group('work')
    const pids: number[] = []
    while (Math.max(...pids, 0) < last + 60) {
      server.bus.respond('work', () => 1)
      pids.push(Math.max(...server.bus.processes.list().map(({ pid }) => pid)))
    }
    expect(pids).toContain(last + 45)
    expect(server.bus.group('work').size).toBe(size + pids.length)
  })

  it('can be taken back: nothing more comes, and what is underway may still be answered', async () => {
    const { server, heard } = await hooked()
    const peer = await extendedPeer(server)
    await registered(peer)
    const first = server.bus.dispatch('work', 1)
    const { id } = await pushed(peer)
    peer.send(leaveFrame())
    expect(await peer.expect('WorkerRegisterAck')).toMatchObject({
      flags: WORKER_LEAVE,
      streamId: 0,
      outcome: { status: 'Accepted' },
    })
    expect(heard).toEqual(['register one', 'unregister one'])
    const refused = await failureOf(server.bus.dispatch('work', 2, { whenUnavailable: 'fail' }))
    expect(refused.code).toBe('NO_RESPONDER')
    peer.send(replyFrame(id, '"done"'))
    expect((await first).value).toBe('done')
    peer.send(leaveFrame())
    expect(await peer.expect('WorkerRegisterAck')).toMatchObject({ outcome: { status: 'Accepted' } })
    expect(heard).toHaveLength(2)
  })

  it('means the same with the flag to a peer without the extension', async () => {
    const server = await startServer()
    const peer = await plainPeer(server)
    peer.send(leaveFrame())
    expect(await peer.expect('WorkerRegisterAck')).toMatchObject({ flags: 0, outcome: { status: 'Accepted' } })
    expect(server.workers).toHaveLength(1)
  })
})
