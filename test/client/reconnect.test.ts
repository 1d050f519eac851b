import { describe, expect, it } from 'vitest'
import { connect } from '../../ts/client/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import type { Frame } from '../../ts/protocol/index.ts'
import { failure, keep, pair, settled, streams, until } from './harness.ts'
import {
  deliver,
  type FrameOf,
  PONG,
  publishAck,
  replyTo,
  type ScriptedPeer,
  ScriptedServer,
  subscribeAck,
  textOf,
} from './scripted-server.ts'

describe('when the connection is lost, a publish', () => {
  it('without a key fails: whether it had an effect is unknown', async () => {
    const { bus, peer } = await pair()
    const lost = failure(bus.channel('orders').publish(1), 'CONNECTION_LOST')
    await peer.expect('Publish')
    peer.kill()
    const error = await lost
    expect(error.retryable).toBe(true)
    expect(error.message).toContain('unknown')
    expect(error.cause).toMatchObject({ code: 'CONNECTION_LOST' })
  })

  it('with a key is written again, in order, before what waited', async () => {
    const { bus, peer, server, core } = await pair()
    const [one, two] = [bus.channel<string>('one'), bus.channel<string>('two')]
    const bytes = Uint8Array.of(1, 2, 3)
    const calls = [
      one.publish('a', { idempotencyKey: 'a' }),
      two.publish('b', { idempotencyKey: 'b' }),
      bus.channel<Uint8Array>('one', { payload: 'bytes' }).publish(bytes, { idempotencyKey: 'c' }),
      one.publish('d', { idempotencyKey: 'd', timeoutMs: 20_000 }),
    ]
    bytes.fill(9)
    const first: FrameOf<'Publish'>[] = []
    while (first.length < 4) first.push(await peer.expect('Publish'))
    peer.send(publishAck(first[1].streamId, 2n, 1))
    expect((await calls[1]).messageId).toBe(2n)
    expect(core.connection?.retainedBytes).toBeGreaterThan(0)
    peer.kill()
    await until(bus, 'disconnected')
    calls.push(two.publish('e'))

    const second = await server.connection()
    await second.accept()
    const again: FrameOf<'Publish'>[] = []
    while (again.length < 4) again.push(await second.expect('Publish'))
    expect(again.map((frame) => [frame.channel, frame.idempotencyKey])).toEqual([
      ['one', 'a'],
      ['one', 'c'],
      ['one', 'd'],
      ['two', null],
    ])
    expect([...again[1].envelope.payload]).toEqual([1, 2, 3])
    second.send(...again.map((frame, index) => publishAck(frame.streamId, BigInt(index), index === 0 ? 0x81 : 1)))
    expect((await calls[0]).duplicate).toBe(true)
    await Promise.all(calls)
    await settled(second)
    expect([core.connection?.unacknowledged, core.connection?.retainedBytes, core.waitingCalls]).toEqual([0, 0, 0])
  })

  it('with a key is not written again once nobody waits', async () => {
    const { bus, peer, server } = await pair()
    const controller = new AbortController()
    const call = failure(
      bus.channel('orders').publish(1, { idempotencyKey: 'k', signal: controller.signal }),
      'ABORTED',
    )
    await peer.expect('Publish')
    peer.kill()
    await until(bus, 'disconnected')
    controller.abort()
    await call
    const second = await server.connection()
    await second.accept()
    await settled(second)
  })

  it('not written yet is sent with the next one', async () => {
    const { bus, peer, server } = await pair()
    peer.kill()
    await until(bus, 'disconnected')
    const channel = bus.channel<number>('orders')
    const calls = [1, 2, 3].map((value) => channel.publish(value))
    const second = await server.connection()
    await second.accept()
    for (const value of [1, 2, 3]) {
      const frame = await second.expect('Publish')
      expect(textOf(frame)).toBe(String(value))
      second.send(publishAck(frame.streamId, BigInt(value)))
    }
    expect((await Promise.all(calls)).map((receipt) => receipt.messageId)).toEqual([1n, 2n, 3n])
  })
})

describe('the way back', () => {
  it('is told step by step', async () => {
    const { bus, peer, server } = await pair()
    const types: string[] = []
    const read = (async () => {
      for await (const status of bus.status()) types.push(status.type)
    })()
    peer.kill()
    const second = await server.connection()
    await second.accept()
    await until(bus, 'connected')
    await bus.close()
    await read
    expect(types).toEqual(['connected', 'disconnected', 'reconnecting', 'connected', 'closed'])
    expect(bus.state).toEqual({ type: 'closed', error: null })
  })

  it('ends with CONNECTION_FAILED after the last attempt, for everything that waits', async () => {
    const { bus, peer, server } = await pair({ reconnect: { baseMs: 20, maxMs: 20, maxAttempts: 2 } })
    const channel = bus.channel('orders')
    const subscription = channel.subscribe()
    const { streamId } = await peer.expect('Subscribe')
    peer.send(subscribeAck(streamId, 1n))
    await subscription.ready()
    const keyed = failure(channel.publish(1, { idempotencyKey: 'k' }), 'CONNECTION_FAILED')
    await peer.expect('Publish')
    const iterating = failure(() => subscription[Symbol.asyncIterator]().next(), 'CONNECTION_FAILED')
    const over = until(bus, 'closed')
    await server.close()
    await until(bus, 'disconnected').catch(() => {})
    const waiting = [
      failure(channel.publish(2), 'CONNECTION_FAILED'),
      failure(bus.ask('work', 1, { timeoutMs: 20_000 }), 'CONNECTION_FAILED'),
      failure(bus.converse('work'), 'CONNECTION_FAILED'),
      failure(channel.ready(), 'CONNECTION_FAILED'),
      failure(subscription.closed, 'CONNECTION_FAILED'),
    ]
    expect(await over).toMatchObject({ type: 'closed', error: { code: 'CONNECTION_FAILED' } })
    await Promise.all([keyed, iterating, ...waiting])
    const error = await failure(channel.publish(3), 'CLOSED')
    expect(error.cause).toMatchObject({ code: 'CONNECTION_FAILED' })
    await bus.close()
  })

  it('ends when the server refuses the token now', async () => {
    const { bus, peer, server } = await pair()
    const over = until(bus, 'closed')
    peer.kill()
    const second = await server.connection()
    await second.expect('Connect')
    second.send({ type: 'ConnectError', flags: 0, streamId: 0, reasonCode: 6, message: 'The token was changed.' })
    expect(await over).toMatchObject({ error: { code: 'AuthenticationFailure' } })
    await failure(bus.ask('work', 1), 'CLOSED')
  })

  it('is not taken where it is turned off', async () => {
    const { bus, peer } = await pair({ reconnect: false })
    const over = until(bus, 'closed')
    const keyed = failure(bus.channel('orders').publish(1, { idempotencyKey: 'k' }), 'CONNECTION_LOST')
    await peer.expect('Publish')
    peer.kill()
    expect(await over).toMatchObject({ error: { code: 'CONNECTION_LOST' } })
    await keyed
    await failure(bus.channel('orders').publish(1), 'CLOSED')
  })

  it('is left by close, in a wait and in an attempt', async () => {
    const waiting = await pair({ reconnect: { baseMs: 60_000, maxMs: 60_000 } })
    waiting.peer.kill()
    await until(waiting.bus, 'reconnecting')
    const pending = failure(waiting.bus.channel('orders').publish(1), 'CLOSED')
    await waiting.bus.close()
    await pending

    const dialling = await pair()
    dialling.peer.kill()
    const second = await dialling.server.connection()
    await second.expect('Connect')
    await dialling.bus.close()
    await second.ended
    expect(dialling.bus.state).toEqual({ type: 'closed', error: null })
  })
})

/** Plays a whole exchange on one connection, and stops, dead, after `steps` frames of the server. Returns whether it was played to its end. */
async function play(peer: ScriptedPeer, steps: number): Promise<boolean> {
  let left = steps
  const say = (frame: Frame): void => {
    if (left-- <= 0) throw new Killed()
    peer.send(frame)
  }
  try {
    let delivered = 0n
    let answered = 0
    const connect = await peer.expect('Connect')
    expect(connect.flags).toBe(0x80)
    const selectedVersion = { major: 1, minor: 0 }
    say({ type: 'ConnectAck', flags: 0, streamId: 0, selectedVersion, capabilities: 0x003f_0000 })
    let subscription = 0
    // Without an end of its own it goes on until the client has said goodbye.
    while (answered < 7 || steps === Number.POSITIVE_INFINITY) {
      const frame = await peer.next()
      if (frame.type === 'Ping') say(PONG)
      else if (frame.type === 'Subscribe') {
        subscription = frame.streamId
        say(subscribeAck(frame.streamId, 1n))
        say(deliver(subscription, ++delivered, '"hello"'))
        answered++
      } else if (frame.type === 'Publish' && (frame.flags & 0x80) === 0) {
        say(publishAck(frame.streamId, 1n, 1))
        answered++
      } else if (frame.type === 'ConversationOpen' && frame.flags !== 0) {
        say(frame)
        answered++
        if ((frame.flags & 0x80) !== 0) {
          say({ type: 'ConversationOpen', flags: 0, streamId: 2, conversationId: 1n, subject: frame.subject })
          say({ ...replyTo({ ...asked, streamId: 4, conversationId: 1n }, '"work"') })
        }
      } else if (frame.type === 'ConversationMessage' && frame.streamId % 2 === 1) {
        say(replyTo(frame, '"reply"'))
        answered++
      }
    }
    return true
  } catch (error) {
    if (error instanceof Killed) return false
    // The client is done before the script is.
    if (error instanceof Error && error.message.includes('closed the connection')) return false
    throw error
  }
}

class Killed extends Error {}

const asked: FrameOf<'ConversationMessage'> = {
  type: 'ConversationMessage',
  flags: 1,
  streamId: 4,
  conversationId: 1n,
  envelope: {
    schemaId: new Uint8Array(32),
    causal: { parentId: null, vectorClockEntry: null },
    payload: new Uint8Array(0),
  },
}

/** Frames that the server says in the exchange. */
const FRAMES = 11

describe('a server that dies between any two frames', () => {
  for (let steps = 1; steps <= FRAMES; steps++) {
    it(`takes nothing with it that is not told: after frame ${steps}`, async () => {
      const { bus, server, core, peer } = await pair({ reconnect: { baseMs: 0 } })
      // The first connection only brings the bus up; the exchange begins with the second.
      peer.kill()
      await until(bus, 'disconnected')
      const channel = bus.channel<number>('orders')
      const seen: unknown[] = []
      let hello: () => void = () => {}
      const heard = new Promise<void>((resolve) => {
        hello = resolve
      })
      const subscription = bus.channel('ticks').subscribe((deliveries) => {
        seen.push(...deliveries.map((delivery) => delivery.value))
        hello()
      })
      const responder = bus.respond('serve', (request) => request)
      const calls = {
        plain: channel.publish(1),
        keyed: channel.publish(2, { idempotencyKey: 'k' }),
        ask: bus.ask('work', 1, { timeoutMs: 20_000 }),
        request: bus.converse('talk').then((conversation) => conversation.request(1, { timeoutMs: 20_000 })),
      }
      const outcomes = Promise.all(
        Object.entries(calls).map(async ([name, call]): Promise<[string, string]> => {
          try {
            await call
            return [name, 'done']
          } catch (error) {
            return [name, error instanceof LiminalError ? error.code : String(error)]
          }
        }),
      )

      const dying = await server.connection()
      expect(await play(dying, steps)).toBe(steps === FRAMES)
      dying.kill()
      await dying.ended
      // Everything from here on is served to the end.
      const survivor = await server.connection()
      const playing = play(survivor, Number.POSITIVE_INFINITY)
      for (const [name, outcome] of await outcomes) {
        if (name === 'keyed') expect(outcome).toBe('done')
        else expect(['done', 'CONNECTION_LOST'], name).toContain(outcome)
      }
      await Promise.all([subscription.ready(), responder.ready(), heard])
      expect(seen).toContain('hello')
      expect(core.waitingCalls).toBe(0)
      const closed = bus.close()
      await playing
      await closed
      expect(streams(core)).toBe(0)
    })
  }

  it('comes back on the same port with nothing lost but what was told', async () => {
    const first = keep(await ScriptedServer.listen())
    const connecting = connect(first.url, {
      reconnect: { baseMs: 5, maxMs: 20 },
    })
    const peer = await first.connection()
    await peer.accept()
    const bus = keep(await connecting)
    await first.close()
    await until(bus, 'reconnecting')
    const publishing = bus.channel('orders').publish('patience')
    const second = keep(await ScriptedServer.listen(first.port))
    const again = await second.connection()
    await again.accept()
    const frame = await again.expect('Publish')
    again.send(publishAck(frame.streamId, 1n))
    expect((await publishing).messageId).toBe(1n)
  })
})
