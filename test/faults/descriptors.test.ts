import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { RawPeer } from '../server/raw-peer.ts'
import { ChildServer } from './child-server.ts'

// Enough to start: the sources are loaded through a service of their own.
const DESCRIPTORS = 128

// There is no such limit on Windows.
describe.runIf(process.platform !== 'win32')('a server that is out of descriptors', () => {
  it('loses what it cannot accept, goes on with the connections that it has, and later takes new ones', async () => {
    const server = await ChildServer.start({}, { descriptors: DESCRIPTORS })
    const first = await RawPeer.connect(server)
    const crowd: Socket[] = []
    onTestFinished(() => {
      first.destroy()
      for (const socket of crowd) socket.destroy()
    })
    const closed = Array.from({ length: 2 * DESCRIPTORS }, () => {
      const socket = connect(server.address).resume()
      socket.on('error', () => undefined)
      crowd.push(socket)
      return new Promise<void>((resolve) => socket.once('close', () => resolve()))
    })
    // One that found no descriptor: it is closed long before its handshake is due.
    await Promise.race(closed)
    const sessions = await server.sessions()
    expect(sessions).toBeGreaterThan(1)
    expect(sessions).toBeLessThan(DESCRIPTORS)
    expect(await first.rest()).toEqual([])

    for (const socket of crowd) socket.destroy()
    await Promise.all(closed)
    await server.quiet(1)
    const late = await RawPeer.connect(server)
    expect(await late.rest()).toEqual([])
    late.socket.end()
    await once(late.socket, 'close')
  })
})
