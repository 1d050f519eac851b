import { describe, expect, it } from 'vitest'
import { connectCore, failure, keep, pair, settled, until } from './harness.ts'
import { aborted, acceptWorker, answer, cancel, push, WITHOUT_WORK, work } from './push-frames.ts'
import { ScriptedServer } from './scripted-server.ts'

describe('a push that is no work', () => {
  it('goes to its handlers by turns, whatever stream 1 belongs to, and is answered with bytes', async () => {
    const { bus, peer } = await pair()
    // Takes stream 1.
    const subscription = bus.channel('ticks').subscribe()
    expect((await peer.expect('Subscribe')).streamId).toBe(1)
    const kept: Uint8Array[] = []
    bus.onPush((payload) => {
      kept.push(payload)
      return payload
    })
    const withdraw = bus.onPush(async () => undefined)
    peer.send(push(1n, 'one'), push(2n, 'two'), push(3n, 'three'))
    const answers = [await answer(peer), await answer(peer), await answer(peer)]
    expect(answers.sort((one, other) => Number(one.id - other.id))).toEqual([
      { id: 1n, head: null, text: 'one' },
      { id: 2n, head: null, text: '' },
      { id: 3n, head: null, text: 'three' },
    ])
    withdraw()
    withdraw()
    peer.send(push(4n, 'four'))
    expect((await answer(peer)).text).toBe('four')
    expect(kept.every(({ buffer }) => buffer.byteLength <= 8_192)).toBe(true)
    expect(kept.map((bytes) => Buffer.from(bytes).toString())).toEqual(['one', 'three', 'four'])
    void subscription.close()
  })

  it('is not for a worker, nor work for a push handler', async () => {
    const { bus, peer } = await pair()
    bus.worker.register({ identity: 'w', taskQueue: 'q' }, () => 'worker')
    await acceptWorker(peer)
    peer.send(push(1n, '1'))
    expect(await answer(peer)).toMatchObject({ id: 1n, head: { status: 'failed', code: 'NO_RESPONDER' } })
    bus.onPush(() => Buffer.from('handler'))
    peer.send(push(2n, '1'))
    expect(await answer(peer)).toMatchObject({ id: 2n, text: 'handler' })
    peer.send(work(3n, '1'))
    expect(await answer(peer)).toMatchObject({ id: 3n, text: '"worker"' })
  })

  it('is for the worker of a 1.0 server, and for a handler where there is none', async () => {
    const { bus, peer } = await pair({}, WITHOUT_WORK)
    bus.onPush(() => Buffer.from('handler'))
    peer.send(push(1n, '1'))
    expect((await answer(peer)).text).toBe('handler')
    const worker = bus.worker.register({ identity: 'w', taskQueue: 'q' }, () => 'worker')
    await acceptWorker(peer, false)
    peer.send(push(2n, '1'))
    expect((await answer(peer)).text).toBe('"worker"')
    await worker.close()
    peer.send(push(3n, '1'))
    expect((await answer(peer)).text).toBe('handler')
  })

  it('fails if its handler throws, or answers with what are no bytes', async () => {
    const { bus, peer } = await pair()
    const replies: (() => unknown)[] = [
      () => {
        throw new Error('not now')
      },
      () => 'text',
    ]
    bus.onPush(() => replies.shift()?.())
    peer.send(push(1n, ''), push(2n, ''))
    expect(await answer(peer)).toMatchObject({
      head: { status: 'failed', code: 'RESPONDER_FAILED', message: 'The push handler failed: not now' },
    })
    expect(await answer(peer)).toMatchObject({ head: { status: 'failed', code: 'RESPONDER_FAILED' } })
  })

  it('aborts its handler when nobody waits, and when the bus is closed', async () => {
    const { bus, peer } = await pair()
    const signals: AbortSignal[] = []
    bus.onPush((_payload, { signal }) => {
      signals.push(signal)
      return aborted(signal)
    })
    peer.send(push(1n, ''), push(2n, ''))
    await settled(peer)
    peer.send(cancel(1n))
    expect(await aborted(signals[0])).toMatchObject({ code: 'ABORTED' })
    expect(signals[1].aborted).toBe(false)
    const closing = bus.close()
    expect(await answer(peer)).toMatchObject({ id: 2n, head: { status: 'handed-back' } })
    expect(await aborted(signals[1])).toMatchObject({ code: 'ABORTED' })
    await peer.expect('Disconnect')
    peer.kill()
    await closing
    await failure(() => bus.onPush(() => undefined), 'CLOSED')
  })

  it('is not lost when it comes with the answer to the handshake', async () => {
    const server = keep(await ScriptedServer.listen())
    const connecting = connectCore(server.url, { reconnect: { baseMs: 1, maxMs: 1 } })
    const first = await server.connection()
    await first.accept()
    const { bus } = await connecting
    bus.onPush((payload) => payload)
    first.kill()
    const second = await server.connection()
    await second.expect('Connect')
    const version = { major: 1, minor: 0 }
    const ack = { type: 'ConnectAck', flags: 0, streamId: 0, selectedVersion: version, capabilities: 0 } as const
    second.send(ack, push(1n, 'early'))
    expect(await answer(second)).toEqual({ id: 1n, head: null, text: 'early' })
  })

  it('waits for room with its reply, and goes before the goodbye', async () => {
    const { bus, peer } = await pair({ outboxBytes: 1_024 })
    const release: (() => void)[] = []
    const replies: Buffer[] = []
    bus.onPush((payload) => {
      const reply = Buffer.alloc(4_096, payload)
      replies.push(reply)
      return new Promise((resolve) => release.push(() => resolve(reply)))
    })
    peer.send(push(1n, 'a'), push(2n, 'b'))
    await settled(peer)
    for (const reply of release) reply()
    // All microtasks later, and before the outbox is flushed.
    await new Promise<void>((resolve) => process.nextTick(() => queueMicrotask(resolve)))
    // Once it is given it is theirs again.
    for (const reply of replies) reply.fill('x')
    const closed = bus.close()
    const answers = [await answer(peer), await answer(peer)]
    expect(answers.map(({ text }) => text.slice(0, 2))).toEqual(['aa', 'bb'])
    await peer.expect('Disconnect')
    peer.kill()
    await closed
  })

  it('is handed back if 65,536 are underway', async () => {
    const { bus, peer, core } = await pair()
    bus.onPush(() => new Promise(() => {}))
    peer.send(...Array.from({ length: 65_537 }, (_, at) => push(BigInt(at + 1), '')))
    expect(await answer(peer)).toMatchObject({ id: 65_537n, head: { status: 'handed-back', code: 'LIMIT_EXCEEDED' } })
    expect(core.connection?.pushes?.size).toBe(65_536)
    peer.send(cancel(1n), push(65_538n, ''))
    await settled(peer)
    peer.kill()
    await until(bus, 'disconnected')
  })

  it('needs a function to be taken', async () => {
    const { bus } = await pair()
    await failure(() => bus.onPush(null as unknown as () => void), 'INVALID_ARGUMENT')
  })
})
