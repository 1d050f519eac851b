import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { getEventListeners } from 'node:events'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { WorkContext } from '../../ts/bus/index.ts'
import { PUSH_FAILED, type PushFailed } from '../../ts/client/index.ts'
import { HandedBackError } from '../../ts/routing/index.ts'
import { failure, pair, settled, until } from './harness.ts'
import { aborted, acceptWorker, answer, cancel, push, registered, taken, WITHOUT_WORK, work } from './push-frames.ts'
import { PONG, type ScriptedPeer } from './scripted-server.ts'

const WORKER = { identity: 'w1', taskQueue: 'orders' }

afterEach(() => {
  vi.useRealTimers()
})

/** A handler whose calls a test ends one by one. */
class Desk {
  readonly contexts: WorkContext[] = []
  readonly finish: ((value: unknown) => void)[] = []
  readonly fail: ((error: Error) => void)[] = []

  readonly handler = (_work: unknown, context: WorkContext): Promise<unknown> => {
    this.contexts.push(context)
    return new Promise((resolve, reject) => {
      this.finish.push(resolve)
      this.fail.push(reject)
    })
  }
}

/** Resolves with the next thing told on a diagnostics channel. */
function told(): Promise<PushFailed> {
  return new Promise((resolve) => {
    const listener = (message: unknown): void => {
      unsubscribe(PUSH_FAILED, listener)
      resolve(message as PushFailed)
    }
    subscribe(PUSH_FAILED, listener)
  })
}

async function leave(peer: ScriptedPeer): Promise<void> {
  expect((await peer.expect('WorkerRegister')).flags).toBe(0x80)
  peer.send(taken())
}

describe('the registration of a worker', () => {
  it('says who it is, and is ready once the server agrees and knows its capacity', async () => {
    const { bus, peer } = await pair()
    const activities = [{ name: 'charge', inputSchemaJson: '{}', outputSchemaJson: 'true' }]
    const worker = bus.worker.register(
      { ...WORKER, namespaces: ['eu'], activityTypes: ['charge'], node: 'n1', activities, capacity: 4 },
      () => 1,
    )
    expect([worker.identity, worker.taskQueue]).toEqual(['w1', 'orders'])
    let ready = false
    void worker.ready().then(() => {
      ready = true
    })
    const { registration, flags } = await peer.expect('WorkerRegister')
    expect(flags).toBe(0)
    expect(registration).toEqual({
      ...WORKER,
      namespaces: ['eu'],
      activityTypes: ['charge'],
      node: 'n1',
      activities,
    })
    await settled(peer)
    expect(ready).toBe(false)
    peer.send(registered())
    expect(await answer(peer)).toEqual({ id: 0n, head: expect.objectContaining({ capacity: 4 }), text: '' })
    await peer.expect('Ping')
    await settled(peer)
    expect(ready).toBe(false)
    peer.send(PONG)
    await worker.ready()
  })

  it('leaves out what a 1.0 server does not take', async () => {
    const { bus, peer } = await pair({}, WITHOUT_WORK)
    const worker = bus.worker.register(WORKER, () => 1)
    const { registration } = await acceptWorker(peer, false)
    expect(registration).toEqual({ ...WORKER, namespaces: [], activityTypes: [], node: null, activities: null })
    await worker.ready()
    await settled(peer)
  })

  it('ends with the reason of a server that refuses it, and is not repeated', async () => {
    const { bus, peer, core, server } = await pair()
    const worker = bus.worker.register(WORKER, () => 1)
    const refused = until(bus, 'worker-refused')
    await peer.expect('WorkerRegister')
    peer.send(registered('no such queue'))
    const error = await failure(worker.ready(), 'REMOTE_ERROR')
    expect(error.message).toContain("'w1' of 'orders' was refused by the server: no such queue")
    await failure(worker.closed, 'REMOTE_ERROR')
    expect(await refused).toMatchObject({ ...WORKER, error: { code: 'REMOTE_ERROR' } })
    expect(core.restorables.size).toBe(0)
    await worker.close()
    peer.kill()
    const second = await server.connection()
    await second.accept()
    await settled(second)
  })

  it('is repeated after every reconnect', async () => {
    const { bus, peer, server } = await pair()
    const worker = bus.worker.register(WORKER, (value) => value)
    const first = await acceptWorker(peer)
    await worker.ready()
    peer.kill()
    await until(bus, 'disconnected')
    let isReady = false
    const ready = worker.ready().then(() => {
      isReady = true
    })
    const second = await server.connection()
    await second.accept()
    const again = await second.expect('WorkerRegister')
    expect(again.registration).toEqual(first.registration)
    await settled(second)
    expect(isReady).toBe(false)
    second.send(registered())
    await answer(second)
    await ready
    second.send(work(1n, '"again"'))
    expect(await answer(second)).toEqual({ id: 1n, head: null, text: '"again"' })
  })

  it('keeps whoever waits for it waiting when the connection goes before the answer', async () => {
    const { bus, peer, server } = await pair()
    const worker = bus.worker.register(WORKER, () => 1)
    const ready = worker.ready()
    await peer.expect('WorkerRegister')
    peer.kill()
    const second = await server.connection()
    await second.accept()
    await acceptWorker(second)
    await ready
  })

  it('outlives a server that takes long to answer', async () => {
    const { bus, peer } = await pair({ requestTimeoutMs: 20 })
    const worker = bus.worker.register(WORKER, (value) => value)
    const unanswered = until(bus, 'worker-unanswered')
    await peer.expect('WorkerRegister')
    await failure(worker.ready(), 'TIMEOUT')
    expect(await unanswered).toMatchObject(WORKER)
    const ready = worker.ready()
    peer.send(registered())
    await answer(peer)
    await ready
    peer.send(work(1n, '1'))
    expect((await answer(peer)).text).toBe('1')
  })

  it('is replaced by a second one, visibly, once that is accepted', async () => {
    const { bus, peer } = await pair()
    const desk = new Desk()
    const first = bus.worker.register(WORKER, desk.handler)
    await acceptWorker(peer)
    peer.send(work(1n, '1'))
    await settled(peer)
    const replaced = until(bus, 'worker-replaced')
    const second = bus.worker.register({ identity: 'w2', taskQueue: 'bills' }, () => 'second')
    await peer.expect('WorkerRegister')
    // What comes before the answer is still for the first.
    peer.send(work(2n, '2'))
    await settled(peer)
    expect(desk.contexts).toHaveLength(2)
    peer.send(registered())
    await answer(peer)
    await second.ready()
    const error = await failure(first.closed, 'CLOSED')
    expect(error.message).toContain("replaced by the worker 'w2' of 'bills'")
    expect(await replaced).toMatchObject({ ...WORKER, by: { identity: 'w2', taskQueue: 'bills' } })
    peer.send(work(3n, '3'))
    expect(await answer(peer)).toMatchObject({ id: 3n, text: '"second"' })
    // What the first has underway is finished.
    desk.finish[0]('first')
    expect(await answer(peer)).toMatchObject({ id: 1n, head: null, text: '"first"' })
    // Its end hands back the rest, and leaves the second alone.
    await first.close()
    expect(await answer(peer)).toMatchObject({ id: 2n, head: { status: 'handed-back' } })
    await settled(peer)
  })

  it('stays if the one that would replace it is refused', async () => {
    const { bus, peer } = await pair()
    const first = bus.worker.register(WORKER, () => 'first')
    await acceptWorker(peer)
    const second = bus.worker.register({ identity: 'w2', taskQueue: 'bills' }, () => 'second')
    await peer.expect('WorkerRegister')
    peer.send(registered('no bills here'), work(1n, '1'))
    await failure(second.closed, 'REMOTE_ERROR')
    expect((await answer(peer)).text).toBe('"first"')
    const closing = first.close()
    await leave(peer)
    await closing
  })

  it('is taken back as soon as it is there if it was closed meanwhile', async () => {
    const { bus, peer } = await pair()
    const worker = bus.worker.register(WORKER, () => 1)
    await peer.expect('WorkerRegister')
    const closing = worker.close()
    await failure(worker.ready(), 'CLOSED')
    await settled(peer)
    peer.send(registered())
    await leave(peer)
    await closing
    await worker.closed
  })

  it('of a closed worker is taken back only once it is sure that no other one has its place', async () => {
    const { bus, peer } = await pair()
    const first = bus.worker.register(WORKER, () => 'first')
    await acceptWorker(peer)
    const second = bus.worker.register({ ...WORKER, identity: 'w2' }, () => 'second')
    await peer.expect('WorkerRegister')
    const closing = first.close()
    await settled(peer)
    peer.send(registered())
    await answer(peer)
    await Promise.all([closing, second.ready()])
    peer.send(work(1n, '1'))
    expect((await answer(peer)).text).toBe('"second"')

    const third = bus.worker.register({ ...WORKER, identity: 'w3' }, () => 'third')
    await peer.expect('WorkerRegister')
    const closingSecond = second.close()
    peer.send(registered('not you'))
    await failure(third.closed, 'REMOTE_ERROR')
    await leave(peer)
    await closingSecond
  })

  it('loses the connection to a server that answers what was not asked', async () => {
    const { bus, peer } = await pair()
    const lost = until(bus, 'disconnected')
    peer.send(registered())
    expect(await lost).toMatchObject({ error: { code: 'CONNECTION_LOST' } })
  })

  it.each([
    [{ identity: '' }, 'identity'],
    [{ taskQueue: 'a\nb' }, 'taskQueue'],
    [{ namespaces: ['ok', 1] }, 'namespaces[1]'],
    [{ activityTypes: 'charge' }, 'activityTypes'],
    [{ node: '' }, 'node'],
    [{ activities: [{ name: 'a', inputSchemaJson: {}, outputSchemaJson: '' }] }, 'activities[0].inputSchemaJson'],
    [{ capacity: 0 }, 'capacity'],
    [{ capacity: 65_537 }, 'capacity'],
    [{ payload: 'xml' }, 'payload'],
    [{ signal: {} }, 'signal'],
    [{ taskqueue: 'orders' }, 'taskQueue'],
    [{ namespaces: Array.from({ length: 65 }, (_, at) => `n${at}`) }, '64'],
    [{ namespaces: ['n'.repeat(255)] }, 'tags'],
  ])('refuses %j', async (wrong, named) => {
    const { bus, peer } = await pair()
    const options = { ...WORKER, ...wrong } as Parameters<typeof bus.worker.register>[0]
    const error = await failure(() => bus.worker.register(options, () => 1), 'INVALID_ARGUMENT')
    expect(error.message).toContain(named)
    await settled(peer)
  })

  it('refuses what is no handler, what no frame carries, and a closed bus', async () => {
    const { bus, peer } = await pair({ frameBytes: 2_048 })
    await failure(() => bus.worker.register(WORKER, 'handler' as unknown as () => void), 'INVALID_ARGUMENT')
    const activities = [{ name: 'big', inputSchemaJson: '"'.repeat(2_048), outputSchemaJson: '' }]
    await failure(() => bus.worker.register({ ...WORKER, activities }, () => 1), 'PAYLOAD_TOO_LARGE')
    await settled(peer)
    const closing = bus.close()
    await failure(() => bus.worker.register(WORKER, () => 1), 'CLOSED')
    peer.kill()
    await closing
  })
})

describe('a worker', () => {
  it('is told all about its work, and answers concurrently', async () => {
    const { bus, peer } = await pair()
    const desk = new Desk()
    bus.worker.register({ ...WORKER, capacity: 2 }, desk.handler)
    await acceptWorker(peer)
    const head = {
      conversation: '9223372036854775813',
      attempt: 2,
      deadline: 1_800_000_000_000,
      key: 'k',
      parentId: 'p',
      vectorClockEntry: '18446744073709551615',
    }
    peer.send(work(1n, '1', head), work(2n ** 63n, '2', { subject: 'orders.urgent' }))
    await settled(peer)
    expect(desk.contexts[0]).toMatchObject({
      subject: 'orders',
      conversationId: 9223372036854775813n,
      attempt: 2,
      deadline: 1_800_000_000_000,
      key: 'k',
      causal: { parentId: 'p', vectorClockEntry: 2n ** 64n - 1n },
      leaseExpiresAt: null,
    })
    expect(desk.contexts[1]).toMatchObject({
      subject: 'orders.urgent',
      attempt: 1,
      deadline: null,
      key: null,
      causal: { parentId: null, vectorClockEntry: null },
    })
    // Without a lease there is nothing to extend.
    desk.contexts[0].extend()
    await settled(peer)
    desk.finish[1]({ done: true })
    expect(await answer(peer)).toEqual({ id: 2n ** 63n, head: null, text: '{"done":true}' })
    desk.finish[0](undefined)
    expect(await answer(peer)).toEqual({ id: 1n, head: null, text: 'null' })
    expect(desk.contexts[0].signal.aborted).toBe(false)
  })

  it('takes and gives bytes where it says so, and may keep them', async () => {
    const { bus, peer } = await pair()
    const kept: Uint8Array[] = []
    bus.worker.register<Uint8Array>({ ...WORKER, payload: 'bytes' }, (bytes) => {
      kept.push(bytes)
      return bytes
    })
    await acceptWorker(peer)
    peer.send(work(1n, '\u0000not json'))
    expect((await answer(peer)).text).toBe('\u0000not json')
    expect(Buffer.from(kept[0]).toString()).toBe('\u0000not json')
    // Not the whole piece that it came in.
    expect(kept[0].buffer.byteLength).toBeLessThanOrEqual(8_192)
  })

  it('fails what it throws at, what it cannot read and what it cannot send', async () => {
    const { bus, peer } = await pair({ frameBytes: 2_048 })
    const replies: unknown[] = [
      () => {
        throw new Error(`not like this \ud800${'\u0001'.repeat(5_000)}`)
      },
      () => Promise.reject(new Error('nor later')),
      () => 'x'.repeat(4_096),
      () => 1n,
    ]
    bus.worker.register<number>(WORKER, (which) => (replies[which] as () => unknown)())
    await acceptWorker(peer)
    peer.send(work(1n, '0'), work(2n, '1'), work(3n, '2'), work(4n, '3'), work(5n, '{'))
    const heads = new Map<bigint, unknown>()
    for (let count = 0; count < 5; count++) {
      const { id, head } = await answer(peer)
      heads.set(id, head)
    }
    const failed = (code: string, text: string): unknown =>
      expect.objectContaining({ status: 'failed', code, message: expect.stringContaining(text) })
    expect(heads.get(1n)).toEqual(failed('RESPONDER_FAILED', "'w1' of 'orders' failed: not like this"))
    expect(heads.get(2n)).toEqual(failed('RESPONDER_FAILED', 'nor later'))
    expect(heads.get(3n)).toEqual(failed('RESPONDER_FAILED', '2048'))
    expect(heads.get(4n)).toEqual(failed('RESPONDER_FAILED', 'no JSON form'))
    expect(heads.get(5n)).toEqual(failed('PAYLOAD_INVALID', 'takes JSON'))
  })

  it('fails a push whose head cannot be read, and only that', async () => {
    const { bus, peer } = await pair()
    bus.worker.register(WORKER, () => 1)
    await acceptWorker(peer)
    peer.send(push(1n, '\u0000\u0000', 0x20), work(2n, '1', { conversation: 'seven' }), work(3n, '1'))
    expect(await answer(peer)).toMatchObject({ id: 1n, head: { status: 'failed', code: 'PAYLOAD_INVALID' } })
    expect(await answer(peer)).toMatchObject({ id: 2n, head: { status: 'failed', code: 'PAYLOAD_INVALID' } })
    expect(await answer(peer)).toMatchObject({ id: 3n, head: null })
  })

  it('hands back what its handler hands back, and work that comes when there is no worker', async () => {
    const { bus, peer } = await pair()
    peer.send(work(1n, '1'))
    expect(await answer(peer)).toMatchObject({ id: 1n, head: { status: 'handed-back' } })
    bus.worker.register(WORKER, () => {
      throw new HandedBackError('Not my table.')
    })
    await acceptWorker(peer)
    peer.send(work(2n, '1'))
    expect(await answer(peer)).toMatchObject({ id: 2n, head: { status: 'handed-back', message: 'Not my table.' } })
  })

  it('hears that nobody waits any more, and does not answer then', async () => {
    const { bus, peer } = await pair()
    const desk = new Desk()
    bus.worker.register({ ...WORKER, capacity: 3 }, desk.handler)
    await acceptWorker(peer)
    peer.send(work(1n, '1'), work(2n, '2'), work(3n, '3'))
    await settled(peer)
    peer.send(cancel(2n), cancel(99n))
    expect(await aborted(desk.contexts[1].signal)).toMatchObject({ code: 'ABORTED' })
    desk.finish[1]('late')
    const failed = told()
    desk.fail[0](new Error('first'))
    expect(await answer(peer)).toMatchObject({ id: 1n, head: { status: 'failed' } })
    expect(await failed).toMatchObject({ correlationId: 1n, subject: 'orders', told: true })
    // A failure that nobody waits for is not swallowed.
    peer.send(cancel(3n))
    await aborted(desk.contexts[2].signal)
    const late = told()
    desk.fail[2](new Error('third'))
    expect(await late).toMatchObject({ correlationId: 3n, told: false, error: { code: 'RESPONDER_FAILED' } })
    await settled(peer)
  })

  it('hears that the connection is lost', async () => {
    const { bus, peer, server } = await pair()
    const desk = new Desk()
    bus.worker.register(WORKER, desk.handler)
    await acceptWorker(peer)
    peer.send(work(1n, '1', { leaseMs: 60_000 }))
    await settled(peer)
    const { signal } = desk.contexts[0]
    peer.kill()
    expect(await aborted(signal)).toMatchObject({ code: 'CONNECTION_LOST' })
    const second = await server.connection()
    await second.accept()
    await acceptWorker(second)
    desk.contexts[0].extend()
    desk.finish[0]('late')
    await settled(second)
  })

  it('loses the connection to a server that pushes the same id twice', async () => {
    const { bus, peer } = await pair()
    const desk = new Desk()
    bus.worker.register({ ...WORKER, capacity: 2 }, desk.handler)
    await acceptWorker(peer)
    const lost = until(bus, 'disconnected')
    peer.send(work(1n, '1'), work(1n, '2'))
    expect(await lost).toMatchObject({ error: { code: 'CONNECTION_LOST' } })
    expect(await aborted(desk.contexts[0].signal)).toMatchObject({ code: 'CONNECTION_LOST' })
  })

  it('gives up a server that pushes and reads no answers', async () => {
    const { bus, peer } = await pair({ outboxBytes: 1_024 })
    const lost = until(bus, 'disconnected')
    peer.send(...Array.from({ length: 64 }, (_, at) => work(BigInt(at + 1), '1')))
    expect(await lost).toMatchObject({ error: { message: expect.stringContaining('reads no answers') } })
  })
})

describe('a lease', () => {
  async function leased(leaseMs: number): Promise<{ peer: ScriptedPeer; desk: Desk; context: WorkContext }> {
    const { bus, peer } = await pair()
    const desk = new Desk()
    bus.worker.register({ ...WORKER, capacity: 2 }, desk.handler)
    await acceptWorker(peer)
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
    peer.send(work(1n, '1', { leaseMs }))
    await settled(peer)
    return { peer, desk, context: desk.contexts[0] }
  }

  it('ends the work when it runs out', async () => {
    const { peer, desk, context } = await leased(1_000)
    expect(context.leaseExpiresAt).toBe(Date.now() + 1_000)
    const { signal } = context
    vi.advanceTimersByTime(999)
    expect(signal.aborted).toBe(false)
    vi.advanceTimersByTime(1)
    expect(signal.reason).toMatchObject({ code: 'TIMEOUT' })
    context.extend()
    desk.finish[0]('late')
    await settled(peer)
    // Its id is free again.
    peer.send(work(1n, '1'))
    await settled(peer)
    desk.finish[1]('in time')
    expect(await answer(peer)).toMatchObject({ id: 1n, text: '"in time"' })
  })

  it('is extended from now on, and the server told', async () => {
    const { peer, desk, context } = await leased(1_000)
    const { signal } = context
    vi.advanceTimersByTime(900)
    context.extend()
    expect(context.leaseExpiresAt).toBe(Date.now() + 1_000)
    expect(await answer(peer)).toMatchObject({ id: 1n, head: { status: 'extend', leaseMs: 1_000 }, text: '' })
    vi.advanceTimersByTime(900)
    context.extend(5_000)
    expect(await answer(peer)).toMatchObject({ id: 1n, head: { status: 'extend', leaseMs: 5_000 } })
    vi.advanceTimersByTime(4_999)
    expect(signal.aborted).toBe(false)
    for (const wrong of [0, -1, Number.NaN, 2 ** 31]) await failure(() => context.extend(wrong), 'INVALID_ARGUMENT')
    desk.finish[0]('done')
    expect(await answer(peer)).toMatchObject({ id: 1n, head: null })
    expect(vi.getTimerCount()).toBe(0)
    expect(signal.aborted).toBe(false)
    context.extend()
    await settled(peer)
  })

  it('may be longer than a timer keeps', async () => {
    const { context } = await leased(2 ** 31 + 1_000)
    const { signal } = context
    vi.advanceTimersByTime(2 ** 31)
    expect(signal.aborted).toBe(false)
    vi.advanceTimersByTime(1_000)
    expect(signal.aborted).toBe(true)
  })

  it('stays as it was if the extension cannot be sent', async () => {
    const { bus, peer } = await pair({ outboxBytes: 1_024 })
    const desk = new Desk()
    bus.worker.register(WORKER, desk.handler)
    await acceptWorker(peer)
    peer.send(work(1n, '1', { leaseMs: 60_000 }))
    await settled(peer)
    const [context] = desk.contexts
    const { leaseExpiresAt } = context
    // One fills the outbox, the other all that may wait.
    const publishes = [1, 2].map(() => bus.channel<string>('big').publish('x'.repeat(9_000)))
    await failure(() => context.extend(90_000), 'OUTBOX_FULL')
    expect(context.leaseExpiresAt).toBe(leaseExpiresAt)
    for (const messageId of [1n, 2n]) {
      const { streamId } = await peer.expect('Publish')
      peer.send({ type: 'PublishAck', flags: 0, streamId, messageId })
    }
    await Promise.all(publishes)
    context.extend(90_000)
    expect(await answer(peer)).toMatchObject({ head: { status: 'extend', leaseMs: 90_000 } })
    desk.finish[0](1)
    expect((await answer(peer)).text).toBe('1')
  })

  it('is extended by one frame, however often, while there is no room', async () => {
    const { bus, peer, core } = await pair({ outboxBytes: 4_096 })
    const desk = new Desk()
    bus.worker.register(WORKER, desk.handler)
    await acceptWorker(peer)
    peer.send(work(1n, '1', { leaseMs: 60_000 }))
    await settled(peer)
    // One fills the outbox, the other waits.
    const publishes = [1, 2].map(() => bus.channel<string>('big').publish('x'.repeat(4_000)))
    for (const leaseMs of [70_000, 80_000, 90_000]) desk.contexts[0].extend(leaseMs)
    expect(core.waitingCalls).toBe(2)
    const { streamId } = await peer.expect('Publish')
    await peer.expect('Publish')
    expect(await answer(peer)).toMatchObject({ head: { status: 'extend', leaseMs: 90_000 } })
    await settled(peer)
    for (const messageId of [1n, 2n]) peer.send({ type: 'PublishAck', flags: 0, streamId, messageId })
    await Promise.all(publishes)
  })
})

describe('the close of a worker', () => {
  it('hands back at once what is underway, and takes the registration back', async () => {
    const { bus, peer, core } = await pair()
    const desk = new Desk()
    const worker = bus.worker.register({ ...WORKER, capacity: 2 }, desk.handler)
    await acceptWorker(peer)
    peer.send(work(1n, '1'), work(2n, '2'))
    await settled(peer)
    let closed = false
    const closing = Promise.all([worker.close(), worker.close()]).then(() => {
      closed = true
    })
    expect((await peer.expect('WorkerRegister')).flags).toBe(0x80)
    expect(await answer(peer)).toMatchObject({ id: 1n, head: { status: 'handed-back' } })
    expect(await answer(peer)).toMatchObject({ id: 2n, head: { status: 'handed-back' } })
    expect(desk.contexts.map(({ signal }) => signal.reason)).toMatchObject([{ code: 'ABORTED' }, { code: 'ABORTED' }])
    desk.finish[0]('late')
    // What the server sent before it knew is handed back too.
    peer.send(work(3n, '3'))
    expect(await answer(peer)).toMatchObject({ id: 3n, head: { status: 'handed-back' } })
    expect(desk.contexts).toHaveLength(2)
    expect(closed).toBe(false)
    peer.send(taken())
    await closing
    await worker.closed
    expect(core.restorables.size).toBe(0)
    await settled(peer)
  })

  it('lets what is underway finish within its grace, which can be shortened', async () => {
    const { bus, peer } = await pair()
    const desk = new Desk()
    const worker = bus.worker.register({ ...WORKER, capacity: 2 }, desk.handler)
    await acceptWorker(peer)
    peer.send(work(1n, '1'), work(2n, '2'))
    await settled(peer)
    const closing = worker.close({ graceMs: 60_000 })
    await leave(peer)
    desk.finish[0]('in time')
    expect(await answer(peer)).toMatchObject({ id: 1n, head: null, text: '"in time"' })
    const longer = worker.close({ graceMs: 90_000 })
    await settled(peer)
    const sooner = worker.close({ graceMs: 1 })
    expect(await answer(peer)).toMatchObject({ id: 2n, head: { status: 'handed-back' } })
    await Promise.all([closing, longer, sooner, worker.closed])
    await failure(worker.close({ graceMs: -1 }), 'INVALID_ARGUMENT')
  })

  it('is done when the connection is lost', async () => {
    const { bus, peer } = await pair()
    const desk = new Desk()
    const worker = bus.worker.register(WORKER, desk.handler)
    await acceptWorker(peer)
    peer.send(work(1n, '1'))
    await settled(peer)
    const closing = worker.close({ graceMs: 60_000 })
    await peer.expect('WorkerRegister')
    peer.kill()
    await closing
    expect(desk.contexts[0].signal.reason).toMatchObject({ code: 'CONNECTION_LOST' })
  })

  it('is done when the server does not answer', async () => {
    const { bus, peer } = await pair({ requestTimeoutMs: 20 })
    const worker = bus.worker.register(WORKER, () => 1)
    await acceptWorker(peer)
    await worker.close()
    await worker.closed
  })

  it('comes with its signal', async () => {
    const { bus, peer } = await pair()
    const controller = new AbortController()
    const worker = bus.worker.register({ ...WORKER, signal: controller.signal }, () => 1)
    await acceptWorker(peer)
    controller.abort()
    await leave(peer)
    await worker.closed
    const other = new AbortController()
    const closed = bus.worker.register({ ...WORKER, signal: other.signal }, () => 1)
    expect(getEventListeners(other.signal, 'abort')).toHaveLength(1)
    await acceptWorker(peer)
    const closing = closed.close()
    await leave(peer)
    await closing
    expect(getEventListeners(other.signal, 'abort')).toEqual([])
    const never = bus.worker.register({ ...WORKER, signal: AbortSignal.abort() }, () => 1)
    await failure(never.ready(), 'ABORTED')
    await never.closed
    await settled(peer)
  })

  it('comes with that of the bus: leases are returned before the goodbye', async () => {
    const { bus, peer } = await pair()
    const desk = new Desk()
    const worker = bus.worker.register({ ...WORKER, capacity: 2 }, desk.handler)
    await acceptWorker(peer)
    peer.send(work(1n, '1', { leaseMs: 60_000 }))
    await settled(peer)
    const closing = bus.close()
    expect((await peer.expect('WorkerRegister')).flags).toBe(0x80)
    expect(await answer(peer)).toMatchObject({ id: 1n, head: { status: 'handed-back' } })
    await worker.closed
    // Pushed before the server knew.
    peer.send(work(2n, '2'), taken())
    expect(await answer(peer)).toMatchObject({ id: 2n, head: { status: 'handed-back' } })
    await peer.expect('Disconnect')
    peer.kill()
    await closing
    expect(desk.contexts).toHaveLength(1)
  })

  it('says no goodbye to a server that does not let go: what it still pushes is not to count as done', async () => {
    const { bus, peer } = await pair()
    bus.worker.register(WORKER, () => 1)
    await acceptWorker(peer)
    const closing = bus.close()
    expect((await peer.expect('WorkerRegister')).flags).toBe(0x80)
    await closing
    await expect(peer.next()).rejects.toThrow('The client closed the connection.')
  })

  it('rejects with what ended the bus', async () => {
    const { bus, peer } = await pair({ reconnect: false })
    const worker = bus.worker.register(WORKER, () => 1)
    await acceptWorker(peer)
    peer.kill()
    await failure(worker.closed, 'CONNECTION_LOST')
  })
})

describe('a worker of a 1.0 server', () => {
  it('gets bare payloads and answers with bare ones', async () => {
    const { bus, peer } = await pair({}, WITHOUT_WORK)
    const contexts: WorkContext[] = []
    bus.worker.register<{ n: number }>(WORKER, ({ n }, context) => {
      contexts.push(context)
      context.extend(1_000)
      return { twice: 2 * n }
    })
    await acceptWorker(peer, false)
    peer.send(push(1n, '{"n":21}', 0x60))
    expect(await answer(peer)).toEqual({ id: 1n, head: null, text: '{"twice":42}' })
    expect(contexts[0]).toMatchObject({
      subject: 'orders',
      conversationId: 0n,
      attempt: 1,
      key: null,
      deadline: null,
      leaseExpiresAt: null,
    })
    await settled(peer)
  })

  it('cannot say no: what failed stays unanswered, and is told here', async () => {
    const { bus, peer } = await pair({}, WITHOUT_WORK)
    bus.worker.register<number>(WORKER, (which) => {
      throw which === 1 ? new Error('no') : new HandedBackError('Not my table.')
    })
    await acceptWorker(peer, false)
    const failed = told()
    peer.send(push(1n, '1'))
    expect(await failed).toMatchObject({ correlationId: 1n, told: false, error: { code: 'RESPONDER_FAILED' } })
    const handedBack = told()
    peer.send(push(2n, '2'))
    expect(await handedBack).toMatchObject({ correlationId: 2n, told: false, error: { code: 'PARTICIPANT_GONE' } })
    await settled(peer)
  })

  it('closes without a word, and takes no more', async () => {
    const { bus, peer } = await pair({}, WITHOUT_WORK)
    const desk = new Desk()
    const worker = bus.worker.register(WORKER, desk.handler)
    await acceptWorker(peer, false)
    peer.send(push(1n, '1'))
    await settled(peer)
    await worker.close()
    expect(desk.contexts[0].signal.reason).toMatchObject({ code: 'ABORTED' })
    const failed = told()
    peer.send(push(2n, '2'))
    expect(await failed).toMatchObject({ correlationId: 2n, told: false, error: { code: 'NO_RESPONDER' } })
    await settled(peer)
  })
})
