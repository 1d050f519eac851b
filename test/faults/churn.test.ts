import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { coreOf } from '../../ts/bus/index.ts'
import { typescriptCodec } from '../../ts/codec/index.ts'
import { OPEN_OFFER } from '../../ts/protocol/index.ts'
import { SESSION_CLOSED } from '../../ts/server/index.ts'
import { diagnosed, startServer } from '../server/fixture.ts'
import { connectFrame, DISCONNECT, messageFrame, openFrame, publishFrame, subscribeFrame } from '../server/raw-peer.ts'

const CONNECTIONS = 10_000
const AT_ONCE = 50

describe('10,000 connections that come and go', () => {
  it('leave nothing behind, whichever way they leave', async () => {
    const server = await startServer({ limits: { connections: CONNECTIONS } })
    await server.bus.respond('busy', () => new Promise(() => undefined)).ready()
    const core = coreOf(server.bus)
    if (core === null) throw new Error('not a local bus')
    const busy = Buffer.concat(
      [
        connectFrame({ flags: 0x80 }),
        subscribeFrame('a', 1, { maxInFlight: 1 }),
        subscribeFrame('a', 3),
        openFrame(1n, 'busy', { streamId: 5 }),
        messageFrame(1n, '1', { streamId: 7 }),
        openFrame(2n, 'served here', { streamId: 9, flags: OPEN_OFFER }),
        publishFrame('a', 'x', { streamId: 11 }),
      ].map((frame) => typescriptCodec.encode(frame)),
    )
    const farewell = Buffer.from(typescriptCodec.encode(DISCONNECT))
    let closed = 0
    const allClosed = diagnosed(SESSION_CLOSED, () => ++closed === CONNECTIONS)
    let left = CONNECTIONS
    const come = async (): Promise<void> => {
      while (left > 0) {
        const way = left-- % 4
        const socket = connect(server.address)
        socket.on('error', () => undefined)
        await once(socket, 'connect')
        socket.write(busy)
        // In order; half-closed and then gone; cut off with everything underway; cut off before anything was read.
        if (way === 0) socket.resume().write(farewell)
        if (way === 1) socket.end()
        if (way === 1 || way === 2) await once(socket, 'data')
        if (way > 0) socket.destroy()
        if (!socket.closed) await once(socket, 'close')
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, come))
    await allClosed
    expect(server.sessions).toEqual([])
    expect(core.channels.get('a').subscriberCount).toBe(0)
    expect(core.conversations.size).toBe(0)
    expect(core.conversations.subjects).toEqual(['$administration', 'busy'])
  }, 120_000)
})
