import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { createBus } from '../../ts/bus/index.ts'
import { connect } from '../../ts/client/index.ts'
import { serve } from '../../ts/server/index.ts'
import { failure, keep, pair, streams } from './harness.ts'
import { ScriptedServer, subscribeAck } from './scripted-server.ts'

describe('close', () => {
  it('fails what is underway, says goodbye behind what was written, and ends the connection', async () => {
    const { bus, peer, core } = await pair()
    const channel = bus.channel<number>('orders')
    const subscription = channel.subscribe()
    const { streamId } = await peer.expect('Subscribe')
    peer.send(subscribeAck(streamId, 1n))
    await subscription.ready()
    channel.send(1)
    const pending = [
      failure(channel.publish(2), 'CLOSED'),
      failure(channel.publish(3, { idempotencyKey: 'k' }), 'CLOSED'),
      failure(bus.ask('work', 4), 'CLOSED'),
      failure(bus.converse('work'), 'CLOSED'),
      failure(subscription.closed, 'CLOSED'),
      failure(bus.respond('work', () => 1).ready(), 'CLOSED'),
    ]
    const closing = bus.close()
    await Promise.all(pending)
    const types: string[] = []
    for (let frame = await peer.next(); ; frame = await peer.next()) {
      types.push(frame.type)
      if (frame.type === 'Disconnect') break
    }
    expect(types.slice(0, 3)).toEqual(['Publish', 'Publish', 'Publish'])
    await closing
    await peer.ended
    expect(bus.state).toEqual({ type: 'closed', error: null })
    expect([streams(core), core.restorables.size, core.lanes.size, core.waitingCalls]).toEqual([0, 0, 0, 0])
  })

  it('settles although the server never closes its side', async () => {
    const server = keep(await ScriptedServer.listen())
    const connecting = connect(server.url)
    const peer = await server.connection()
    await peer.accept()
    const bus = await connecting
    peer.socket.pause()
    const started = performance.now()
    await bus.close()
    expect(performance.now() - started).toBeLessThan(5_000)
    expect(bus.state.type).toBe('closed')
  })

  it('loses none of the bytes that were written before, however much the server still has to say', async () => {
    const local = keep(await createBus())
    const server = keep(await serve(local, { port: 0 }))
    const taken: number[] = []
    const all = new Promise<void>((resolve) => {
      local.channel<number>('ticks').subscribe((deliveries) => {
        for (const delivery of deliveries) taken.push(delivery.value)
        if (taken.length === 20_000) resolve()
      })
    })
    const bus = await connect(server.url)
    // Its own deliveries are unread when it closes.
    await bus
      .channel('ticks')
      .subscribe(() => {})
      .ready()
    const channel = bus.channel<number>('ticks')
    for (let value = 0; value < 20_000; value++) channel.send(value)
    await bus.close()
    await all
    expect(taken).toEqual(Array.from({ length: 20_000 }, (_, index) => index))
  })

  it('leaves nothing that keeps the process alive', async () => {
    const local = keep(await createBus())
    const server = keep(await serve(local, { port: 0 }))
    const program = fileURLToPath(new URL('./programs/short-lived.ts', import.meta.url))
    const child = spawn(process.execPath, ['--import', 'tsx', program, server.url], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    const [code] = await once(child, 'exit')
    expect([code, output]).toEqual([0, 'closed\n'])
  })
})
