import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { connect } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createBus } from '../../ts/bus/index.ts'
import { connect as dial } from '../../ts/client/index.ts'
import { CONFIRM, OPEN_OFFER, ReasonCode } from '../../ts/protocol/index.ts'
import { SERVER_STATE, type ServerStateChanged, serve } from '../../ts/server/index.ts'
import { deferred, extendedPeer, plainPeer, startServer, strangePeer } from './fixture.ts'
import { type Addressed, messageFrame, openFrame, publishFrame, subscribeFrame, textOf } from './raw-peer.ts'

function refusesConnections(server: Addressed): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(server.address)
    socket.on('error', (error: Error & { code?: string }) => resolve(error.code ?? ''))
    socket.on('connect', () => reject(new Error('the server still accepts connections')))
  })
}

describe('closing a server', () => {
  it('says Disconnect to everybody, ends the connections and frees the port', async () => {
    const server = await startServer()
    const peers = [await plainPeer(server), await extendedPeer(server), await strangePeer(server)]
    peers[0].send(subscribeFrame('a', 1))
    await peers[0].expect('SubscribeAck')
    const closing = server.close()
    for (const peer of peers) {
      await peer.expect('Disconnect')
      await peer.ended
      peer.socket.end()
    }
    await closing
    expect(server.sessions).toEqual([])
    expect(await refusesConnections(server)).toBe('ECONNREFUSED')
  })

  it('refuses new work while it lets requests underway finish', async () => {
    const reply = deferred<string>()
    const started = deferred()
    const server = await startServer()
    await server.bus
      .respond('work', () => {
        started.resolve()
        return reply.promise
      })
      .ready()
    const peer = await extendedPeer(server)
    peer.send(openFrame(1n, 'work'), messageFrame(1n, '1', { streamId: 3 }))
    await started.promise
    const closing = server.close()
    peer.send(
      publishFrame('a', '1', { streamId: 5 }),
      subscribeFrame('a', 7),
      openFrame(2n, 'work', { streamId: 9 }),
      openFrame(3n, 'other', { streamId: 11, flags: OPEN_OFFER | CONFIRM }),
      messageFrame(1n, '2', { streamId: 13 }),
    )
    const reasonCode = ReasonCode.ShuttingDown
    expect(await peer.rest()).toMatchObject([
      { type: 'PublishError', streamId: 5, reasonCode },
      { type: 'SubscribeError', streamId: 7, reasonCode },
      { type: 'ConversationError', streamId: 9, reasonCode },
      { type: 'ConversationError', streamId: 11, reasonCode },
      { type: 'ConversationError', streamId: 13, reasonCode },
    ])
    reply.resolve('done')
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('"done"')
    await peer.expect('Disconnect')
    peer.socket.end()
    await closing
  })

  it('lets a responder behind a connection finish what it was asked', async () => {
    const server = await startServer()
    const responder = await extendedPeer(server)
    responder.send(openFrame(1n, 'work', { flags: OPEN_OFFER | CONFIRM }))
    await responder.expect('ConversationOpen')
    const answer = server.bus.ask('work', 1)
    const request = (await responder.until('ConversationMessage')).at(-1)
    if (request?.type !== 'ConversationMessage') throw new Error('no request')
    const closing = server.close()
    await expect(server.bus.ask('work', 2)).rejects.toMatchObject({ code: 'SHUTTING_DOWN' })
    responder.send(messageFrame(request.conversationId, '"done"', { streamId: request.streamId }))
    expect(await answer).toBe('done')
    await responder.until('Disconnect')
    responder.socket.end()
    await closing
  })

  it('brings what was published before to those who read it', async () => {
    const server = await startServer()
    const subscriber = await plainPeer(server)
    subscriber.send(subscribeFrame('a', 1))
    await subscriber.expect('SubscribeAck')
    const publisher = await plainPeer(server)
    const count = 200
    publisher.send(...Array.from({ length: count }, () => publishFrame('a', Buffer.alloc(10_000))))
    for (let n = 0; n < count; n++) await publisher.expect('PublishAck')
    const closing = server.close()
    const frames = await subscriber.until('Disconnect')
    expect(frames).toHaveLength(count + 1)
    subscriber.socket.end()
    publisher.socket.end()
    await closing
  })

  it('waits for a subscriber that goes on accepting, and not for one that does not', async () => {
    const server = await startServer()
    const [busy, idle] = [await extendedPeer(server), await extendedPeer(server)]
    for (const peer of [busy, idle]) {
      peer.send(subscribeFrame('a', 1, { maxInFlight: 1 }))
      await peer.expect('SubscribeAck')
    }
    const publisher = await plainPeer(server)
    publisher.send(publishFrame('a', '1'), publishFrame('a', '2'), publishFrame('a', '3'))
    for (let n = 0; n < 3; n++) await publisher.expect('PublishAck')
    const closing = server.close()
    for (const sequence of [1n, 2n, 3n]) {
      expect((await busy.expect('Deliver')).deliverySeq).toBe(sequence)
      busy.send({ type: 'Accept', flags: 0, streamId: 1, referencedMessageId: `${sequence}` })
    }
    await busy.expect('Disconnect')
    expect((await idle.until('Disconnect')).map((frame) => frame.type)).toEqual(['Deliver', 'Disconnect'])
    for (const peer of [busy, idle, publisher]) peer.socket.end()
    await closing
  })

  it('cuts off after the grace what has not finished, and settles', async () => {
    const started = deferred<AbortSignal>()
    const server = await startServer()
    await server.bus
      .respond('work', (_request, context) => {
        started.resolve(context.signal)
        return new Promise(() => undefined)
      })
      .ready()
    const peer = await plainPeer(server)
    peer.send(openFrame(1n, 'work'), messageFrame(1n, '1'))
    const signal = await started.promise
    await server.close({ graceMs: 20 })
    expect(server.sessions).toEqual([])
    expect(signal.aborted).toBe(true)
    await peer.ended
  })

  it('does not wait for a peer that neither reads nor closes longer than the grace', async () => {
    const server = await startServer()
    const peer = await plainPeer(server)
    peer.send(subscribeFrame('a', 1))
    await peer.expect('SubscribeAck')
    peer.socket.pause()
    const publisher = await plainPeer(server)
    publisher.send(...Array.from({ length: 100 }, () => publishFrame('a', Buffer.alloc(100_000))))
    await publisher.expect('PublishAck')
    await server.close({ graceMs: 50 })
    expect(server.sessions).toEqual([])
  })

  it('is done once, however often it is asked for', async () => {
    const server = await startServer()
    await plainPeer(server)
    const [one, two] = [server.close({ graceMs: 10 }), server.close()]
    await Promise.all([one, two])
    await server.close()
  })

  it('comes with the end of its scope, and with the end of its bus', async () => {
    const bus = await createBus()
    onTestFinished(() => bus.close())
    let scoped: Addressed
    {
      await using server = await serve(bus, { port: 0 })
      scoped = server
      await plainPeer(server).then((peer) => peer.destroy())
    }
    expect(await refusesConnections(scoped)).toBe('ECONNREFUSED')
    const server = await serve(bus, { port: 0 })
    const peer = await plainPeer(server)
    const closing = bus.close()
    await peer.until('Disconnect')
    peer.socket.end()
    await closing
    expect(await refusesConnections(server)).toBe('ECONNREFUSED')
  })

  it('closes the bus that createServer made, and leaves that of serve open', async () => {
    const owning = await startServer()
    await owning.close()
    expect(() => owning.bus.respond('x', () => 1)).toThrow()
    const bus = await createBus()
    onTestFinished(() => bus.close())
    const server = await serve(bus, { port: 0 })
    await server.close()
    expect(await bus.channel('a').publish(1)).toMatchObject({ delivered: false })
  })

  it('goes through its states, and says each', async () => {
    const server = await startServer()
    const states: string[] = []
    const hear = (event: unknown): void => {
      const { url, state } = event as ServerStateChanged
      if (url === server.url) states.push(state)
    }
    subscribe(SERVER_STATE, hear)
    onTestFinished(() => {
      unsubscribe(SERVER_STATE, hear)
    })
    expect([server.state, server.ready]).toEqual(['listening', true])
    server.bus.respond('never', () => new Promise(() => undefined))
    const peer = await plainPeer(server)
    peer.send(openFrame(1n, 'never'), messageFrame(1n, '1'), { type: 'Ping', flags: 0, streamId: 0 })
    await peer.expect('Pong')
    const closing = server.close({ graceMs: 30 })
    expect([server.state, server.ready]).toEqual(['draining', false])
    await closing
    expect(server.state).toBe('closed')
    expect(states).toEqual(['draining', 'aborting', 'closed'])
  })

  it('says Disconnect also to those that it cuts off', async () => {
    const server = await startServer()
    server.bus.respond('never', () => new Promise(() => undefined))
    const peer = await plainPeer(server)
    peer.send(openFrame(1n, 'never'), messageFrame(1n, '1'), { type: 'Ping', flags: 0, streamId: 0 })
    await peer.expect('Pong')
    await server.close({ graceMs: 10 })
    await peer.expect('ConversationError')
    await peer.expect('Disconnect')
    await peer.ended
  })

  it('lets a later call shorten the grace', async () => {
    const server = await startServer()
    server.bus.respond('never', () => new Promise(() => undefined))
    const peer = await plainPeer(server)
    peer.send(openFrame(1n, 'never'), messageFrame(1n, '1'), { type: 'Ping', flags: 0, streamId: 0 })
    await peer.expect('Pong')
    const closing = server.close({ graceMs: 3_600_000 })
    await server.close({ graceMs: 0 })
    await closing
    expect(server.state).toBe('closed')
  })

  it('does not wait for a connection that is idle, or that has not even connected', async () => {
    const server = await startServer()
    const [idle, strange] = [await extendedPeer(server), await strangePeer(server)]
    // Longer than any test: the grace is not what ends it.
    const closing = server.close({ graceMs: 3_600_000 })
    for (const peer of [idle, strange]) {
      await peer.ended
      peer.socket.end()
    }
    await closing
  })

  it('gives what was begun in its own process what is left of the grace', async () => {
    const server = await startServer()
    const reply = deferred<string>()
    server.bus.respond('slow', () => reply.promise)
    const pending = server.bus.ask('slow', 1, { timeoutMs: 20_000 })
    const closing = server.close({ graceMs: 20_000 })
    await expect(server.bus.ask('slow', 2)).rejects.toMatchObject({ code: 'SHUTTING_DOWN', retryable: true })
    reply.resolve('done')
    expect(await pending).toBe('done')
    await closing
    expect(server.bus.state).toBe('closed')
  })

  it('refuses new work on its own bus at once, and to serve that', async () => {
    const server = await startServer()
    const { bus } = server
    const reply = deferred<string>()
    const started = deferred()
    bus.respond('slow', () => {
      started.resolve()
      return reply.promise
    })
    const peer = await plainPeer(server)
    peer.send(openFrame(1n, 'slow'), messageFrame(1n, '1'))
    await started.promise
    const closing = server.close()
    expect(bus.state).toBe('draining')
    const refused = { code: 'SHUTTING_DOWN', retryable: true }
    await expect(bus.ask('slow', 2)).rejects.toMatchObject(refused)
    await expect(bus.dispatch('slow', 2)).rejects.toMatchObject(refused)
    await expect(bus.converse('slow')).rejects.toMatchObject(refused)
    expect(() => bus.respond('new', () => 1)).toThrow(expect.objectContaining(refused))
    await expect(serve(bus, { port: 0 })).rejects.toMatchObject(refused)
    reply.resolve('done')
    expect(textOf(await peer.expect('ConversationMessage'))).toBe('"done"')
    await peer.expect('Disconnect')
    peer.socket.end()
    await closing
    await expect(serve(bus, { port: 0 })).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('tells everybody who still waits after the grace that it shuts down, and that a retry may help', async () => {
    const server = await startServer()
    server.bus.respond('never', () => new Promise(() => undefined))
    const client = await dial(server.url, { reconnect: false })
    onTestFinished(() => client.close())
    const conversation = await client.converse('never')
    const parts = async (): Promise<void> => {
      for await (const part of client.stream('never', 1)) throw new Error(`a part: ${part}`)
    }
    const pending = [client.ask('never', 1), client.dispatch('never', 1), conversation.request(1), parts()]
    const all = Promise.allSettled(pending)
    // Everything that was asked is on its way before that.
    await expect(client.ask('nobody', 1)).rejects.toMatchObject({ code: 'NO_RESPONDER' })
    await server.close({ graceMs: 10 })
    const shuttingDown = { status: 'rejected', reason: { code: 'SHUTTING_DOWN', retryable: true } }
    expect(await all).toMatchObject(pending.map(() => shuttingDown))
  })

  it.each(['bus.close()', 'a later bus.close()'])('takes the grace of %s', async (which) => {
    const bus = await createBus()
    const server = await serve(bus, { port: 0 })
    bus.respond('never', () => new Promise(() => undefined))
    const peer = await plainPeer(server)
    peer.send(openFrame(1n, 'never'), messageFrame(1n, '1'), { type: 'Ping', flags: 0, streamId: 0 })
    await peer.expect('Pong')
    const here = bus.ask('never', 1, { timeoutMs: 3_600_000 })
    const failed = expect(here).rejects.toMatchObject({ code: 'CLOSED' })
    const closing = which === 'bus.close()' ? null : bus.close({ graceMs: 3_600_000 })
    if (closing !== null) expect([bus.state, server.state]).toEqual(['draining', 'draining'])
    // Less than the 5 seconds that a server takes by itself.
    const startedAt = performance.now()
    await bus.close({ graceMs: 10 })
    expect(performance.now() - startedAt).toBeLessThan(4_000)
    await closing
    await failed
    await peer.ended
    expect([bus.state, server.state]).toEqual(['closed', 'closed'])
  })

  it('rejects a grace that is none, here and on its bus', async () => {
    const server = await startServer()
    for (const graceMs of ['1', -1, Number.NaN] as unknown[] as number[]) {
      await expect(server.close({ graceMs })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      await expect(server.bus.close({ graceMs })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    }
    expect(server.state).toBe('listening')
  })
})
