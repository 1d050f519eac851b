import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { createBus } from '../../ts/bus/index.ts'
import { connect } from '../../ts/client/index.ts'
import { serve } from '../../ts/server/index.ts'
import { failure, keep, pair, settled, streams, until } from './harness.ts'
import { PONG, publishAck, ScriptedServer, subscribeAck } from './scripted-server.ts'

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
    const types: string[] = []
    for (let frame = await peer.next(); ; frame = await peer.next()) {
      types.push(frame.type)
      if (frame.type === 'Ping') peer.send(PONG)
      if (frame.type === 'Disconnect') break
    }
    await Promise.all(pending)
    expect(types.slice(0, 3)).toEqual(['Publish', 'Publish', 'Publish'])
    await closing
    await peer.ended
    expect(bus.state).toEqual({ type: 'closed', error: null })
    expect([streams(core), core.restorables.size, core.lanes.size, core.waitingCalls]).toEqual([0, 0, 0, 0])
  })

  it('waits for the receipts of what was published', async () => {
    const local = keep(await createBus())
    const server = keep(await serve(local, { port: 0 }))
    const taken: number[] = []
    local.channel<number>('ticks').subscribe((deliveries) => {
      for (const delivery of deliveries) taken.push(delivery.value)
    })
    const bus = await connect(server.url)
    const channel = bus.channel<number>('ticks')
    const receipts = Array.from({ length: 100 }, (_, value) =>
      channel.publish(value, value % 2 === 0 ? undefined : { idempotencyKey: `${value}` }),
    )
    await bus.close()
    expect((await Promise.all(receipts)).every(({ delivered, duplicate }) => delivered && !duplicate)).toBe(true)
    expect(taken).toEqual(Array.from({ length: 100 }, (_, value) => value))
  })

  it('says goodbye as soon as the last receipt is there, and takes nothing new before', async () => {
    const { bus, peer } = await pair()
    const receipt = bus.channel('c').publish(1)
    const asking = failure(bus.ask('work', 1), 'CLOSED')
    const { streamId } = await peer.expect('Publish')
    const closing = bus.close()
    const { message } = await asking
    expect(message).toContain('unknown')
    await failure(bus.channel('c').publish(2), 'CLOSED')
    await peer.expect('ConversationOpen')
    await peer.expect('ConversationMessage')
    await settled(peer)
    peer.send(publishAck(streamId, 5n))
    expect((await receipt).messageId).toBe(5n)
    await peer.expect('Disconnect')
    await closing
  })

  it('tells what was never written from what may have happened', async () => {
    const { bus, peer } = await pair({ outboxBytes: 1_024, requestTimeoutMs: 60_000 })
    const channel = bus.channel<string>('c')
    const written = failure(channel.publish('x'.repeat(2_000)), 'CLOSED')
    const keyed = failure(channel.publish('k', { idempotencyKey: 'k' }), 'CLOSED')
    const order: string[] = []
    void written.then(() => order.push('written'))
    void keyed.then(() => order.push('waiting'))
    const closing = bus.close()
    expect((await keyed).message).toBe("The publish to 'c' was never sent: the bus was closed.")
    await peer.expect('Publish')
    expect((await written).message).toContain('whether it had an effect is unknown')
    expect(order).toEqual(['waiting', 'written'])
    await closing
  })

  it('does not wait for receipts that can no longer come', async () => {
    const { bus, peer } = await pair()
    const channel = bus.channel('c')
    const calls = [
      failure(channel.publish(1), 'CONNECTION_LOST'),
      failure(channel.publish(2, { idempotencyKey: 'k' }), 'CLOSED'),
    ]
    await peer.expect('Publish')
    const closing = bus.close()
    peer.kill()
    for (const error of await Promise.all(calls)) expect(error.message).toContain('unknown')
    await closing
    expect(bus.state).toEqual({ type: 'closed', error: null })
  })

  it('knows that a publish which was to be repeated may have happened', async () => {
    const { bus, peer, core } = await pair({ reconnect: { baseMs: 60_000, maxMs: 60_000 } })
    const call = failure(bus.channel('c').publish(1, { idempotencyKey: 'k' }), 'CLOSED')
    await peer.expect('Publish')
    const gone = until(bus, 'reconnecting')
    peer.kill()
    await gone
    expect(core.waitingCalls).toBe(1)
    await bus.close()
    expect((await call).message).toContain('whether it had an effect is unknown')
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
