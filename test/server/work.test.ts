import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { HAS_HEAD, OPEN_DISPATCH, PUSH_CANCEL, withHead } from '../../ts/protocol/index.ts'
import { extendedPeer, plainPeer, startServer } from './fixture.ts'
import { closeFrame, DISCONNECT, messageFrame, openFrame, PING, type RawPeer } from './raw-peer.ts'
import { announced, answerFrame, pushed, registered, replyFrame } from './work-frames.ts'
import { failureOf } from './worker-fixture.ts'

describe('the capacity of a worker', () => {
  it('is what it says, from then on', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await registered(peer)
    expect(server.workers[0].capacity).toBe(1)
    const outcomes = [1, 2, 3, 4].map((n) => server.bus.dispatch<number>('work', n))
    const ids = [(await pushed(peer)).id]
    expect(await peer.rest()).toEqual([])
    peer.send(answerFrame(0n, { capacity: 3 }))
    ids.push((await pushed(peer)).id, (await pushed(peer)).id)
    expect(await peer.rest()).toEqual([])
    expect(server.workers[0]).toMatchObject({ capacity: 3, inFlight: 3 })
    peer.send(...ids.map((id) => replyFrame(id, '0')))
    peer.send(replyFrame((await pushed(peer)).id, '0'))
    await Promise.all(outcomes)
    expect(server.workers[0].inFlight).toBe(0)
  })

  it.each<[string, Uint8Array, number]>([
    ['more than it may be', withHead({ capacity: 1e9 }, new Uint8Array(0)), 65_536],
    ['0', Buffer.from('\0\0\0\x0e{"capacity":0}'), 2],
    ['a fraction', Buffer.from('\0\0\0\x10{"capacity":1.5}'), 2],
    ['text', Buffer.from('\0\0\0\x10{"capacity":"9"}'), 2],
    ['nothing', Buffer.from('\0\0\0\x02{}'), 2],
    ['no JSON', Buffer.from('\0\0\0\x02{]'), 2],
    ['no head', Buffer.from('x'), 2],
  ])('that is announced as %s', async (_what, bytes, capacity) => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await registered(peer)
    await announced(peer, 2)
    peer.send(replyFrame(0n, bytes, HAS_HEAD))
    expect(await peer.rest()).toEqual([])
    expect(server.workers[0].capacity).toBe(capacity)
  })

  it('of a peer that cannot say it is 32, or what the server says', async () => {
    const server = await startServer()
    const peer = await plainPeer(server)
    await registered(peer)
    peer.send(answerFrame(0n, { capacity: 3 }))
    const outcomes = Array.from({ length: 33 }, (_, n) => server.bus.dispatch<number>('work', n))
    const ids: bigint[] = []
    for (let count = 0; count < 32; count++) ids.push((await pushed(peer)).id)
    expect(await peer.rest()).toEqual([])
    expect(server.workers[0]).toMatchObject({ capacity: 32, inFlight: 32 })
    peer.send(...ids.map((id) => replyFrame(id, '0')))
    peer.send(replyFrame((await pushed(peer)).id, '0'))
    await Promise.all(outcomes)
    const other = await startServer({ workers: { capacity: 2 } })
    const one = await plainPeer(other)
    await registered(one)
    expect(other.workers[0].capacity).toBe(2)
  })

  it('counts for those who ask too: no more is pushed, and they are told', async () => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await registered(peer)
    const first = server.bus.ask('work', 1)
    const { id } = await pushed(peer)
    expect((await failureOf(server.bus.ask('work', 2))).code).toBe('LIMIT_EXCEEDED')
    peer.send(replyFrame(id, '1'))
    expect(await first).toBe(1)
  })

  it('lets a dispatch go to another worker when an ask has its place', async () => {
    const server = await startServer()
    const [one, two] = [await extendedPeer(server), await extendedPeer(server)]
    await registered(one)
    const asked = server.bus.ask('work', 1)
    const { id } = await pushed(one)
    const outcome = server.bus.dispatch('work', 2)
    await registered(two, { identity: 'two' })
    const next = await pushed(two)
    two.send(replyFrame(next.id, '2'))
    expect(await outcome).toMatchObject({ value: 2, deliveredTo: 'two' })
    one.send(replyFrame(id, '1'))
    expect(await asked).toBe(1)
  })
})

describe('work', () => {
  it('is a bare payload for a peer without the extension, whose flags mean nothing', async () => {
    const server = await startServer()
    const peer = await plainPeer(server)
    await registered(peer)
    const outcome = server.bus.dispatch<unknown>('work', { n: 1 }, { key: 'k' })
    const { id, ...push } = await pushed(peer)
    expect(push).toEqual({ flags: 0, streamId: 1, work: null, text: '{"n":1}' })
    peer.send(replyFrame(id, '{"n":2}', HAS_HEAD))
    expect((await outcome).value).toEqual({ n: 2 })
  })

  it('comes with a head for everybody else', async () => {
    const server = await startServer({ workers: { leaseMs: 5_000 } })
    const peer = await extendedPeer(server)
    await registered(peer)
    const causal = { parentId: 'p', vectorClockEntry: 2n ** 64n - 1n }
    const outcome = server.bus.dispatch('work', { n: 1 }, { key: 'k', timeoutMs: 60_000, causal })
    const { id, work, streamId, text } = await pushed(peer)
    expect({ streamId, text }).toEqual({ streamId: 1, text: '{"n":1}' })
    expect(work).toEqual({
      subject: 'work',
      conversation: expect.stringMatching(/^[1-9]\d*$/),
      attempt: 1,
      deadline: expect.any(Number),
      leaseMs: 5_000,
      key: 'k',
      parentId: 'p',
      vectorClockEntry: '18446744073709551615',
    })
    peer.send(answerFrame(id, { status: 'done' }, '7'))
    expect(await outcome).toMatchObject({ value: 7, deliveredTo: 'one', attempts: 1 })
  })

  it('that failed is answered, and nobody else is asked', async () => {
    const server = await startServer()
    const [one, two] = [await extendedPeer(server), await extendedPeer(server)]
    await registered(one)
    const outcome = failureOf(server.bus.dispatch('work', 1))
    const { id } = await pushed(one)
    await registered(two, { identity: 'two' })
    one.send(answerFrame(id, { status: 'failed', message: 'not this one' }))
    const error = await outcome
    expect(error.code).toBe('RESPONDER_FAILED')
    expect(`${error.message} ${String(error.cause)}`).toContain('not this one')
    expect(await two.rest()).toEqual([])
  })

  it.each<[string, string]>([
    ['PAYLOAD_INVALID', 'PAYLOAD_INVALID'],
    ['LIMIT_EXCEEDED', 'LIMIT_EXCEEDED'],
    ['NO_RESPONDER', 'RESPONDER_FAILED'],
    ['toString', 'RESPONDER_FAILED'],
  ])('that failed with %s says %s to who asked', async (code, heard) => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await registered(peer)
    const answer = failureOf(server.bus.ask('work', 1))
    peer.send(answerFrame((await pushed(peer)).id, { status: 'failed', code }))
    expect((await answer).code).toBe(heard)
  })

  it('that is handed back goes to another worker, with the attempt raised', async () => {
    const server = await startServer()
    const [one, two] = [await extendedPeer(server), await extendedPeer(server)]
    await registered(one)
    const outcome = server.bus.dispatch('work', 1)
    const { id } = await pushed(one)
    await registered(two, { identity: 'two' })
    one.send(answerFrame(id, { status: 'handed-back', message: 'I leave.' }))
    const { id: again, work } = await pushed(two)
    expect(work?.attempt).toBe(2)
    two.send(replyFrame(again, '2'))
    expect(await outcome).toMatchObject({
      value: 2,
      deliveredTo: 'two',
      attempts: 2,
      reroutedFrom: [{ consumer: 'one', attempt: 1, reason: 'handed-back' }],
    })
  })

  it.each<[string, Uint8Array]>([
    ['no length', Buffer.from('ab')],
    ['a length beyond its end', Buffer.from('\0\0\0\x05{}')],
    ['no JSON', Buffer.from('\0\0\0\x02{]')],
    ['a status that there is not', Buffer.from('\0\0\0\x11{"status":"maybe"}'.replace('\x11', '\x12'))],
  ])('whose answer has a head with %s fails, and the connection goes on', async (_what, bytes) => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await registered(peer)
    const answer = failureOf(server.bus.ask('work', 1))
    peer.send(replyFrame((await pushed(peer)).id, bytes, HAS_HEAD))
    expect((await answer).code).toBe('PAYLOAD_INVALID')
    const next = server.bus.ask('work', 2)
    peer.send(replyFrame((await pushed(peer)).id, '3'))
    expect(await next).toBe(3)
  })

  it('goes to another worker when its lease runs out: the first is told, and its late answer refused', async () => {
    const server = await startServer({ workers: { leaseMs: 20 } })
    const [one, two] = [await extendedPeer(server), await extendedPeer(server)]
    await registered(one)
    const outcome = server.bus.dispatch('work', 1)
    const { id } = await pushed(one)
    expect(await one.expect('Push')).toMatchObject({
      flags: PUSH_CANCEL,
      correlationId: id,
      payload: new Uint8Array(0),
    })
    await registered(two, { identity: 'two' })
    const second = await pushed(two)
    one.send(replyFrame(id, '"late"'))
    await one.rest()
    two.send(replyFrame(second.id, '"in time"'))
    expect(await outcome).toMatchObject({ value: 'in time', deliveredTo: 'two', attempts: 2 })
  })

  it('stays where it is as long as its lease is extended', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => {
      vi.useRealTimers()
    })
    const server = await startServer({ workers: { leaseMs: 1_000 } })
    const peer = await extendedPeer(server)
    await registered(peer)
    const outcome = server.bus.dispatch('work', 1)
    const { id } = await pushed(peer)
    for (let turn = 0; turn < 5; turn++) {
      vi.advanceTimersByTime(900)
      peer.send(answerFrame(id, { status: 'extend' }))
      expect(await peer.rest()).toEqual([])
    }
    peer.send(answerFrame(id, { status: 'extend', leaseMs: 10_000 }))
    expect(await peer.rest()).toEqual([])
    vi.advanceTimersByTime(9_000)
    expect(await peer.rest()).toEqual([])
    peer.send(replyFrame(id, '1'))
    expect((await outcome).attempts).toBe(1)
    const abandoned = new AbortController()
    const lost = failureOf(server.bus.dispatch('work', 2, { signal: abandoned.signal }))
    const next = await pushed(peer)
    peer.send(answerFrame(next.id, { status: 'extend', leaseMs: 0 }))
    await peer.rest()
    vi.advanceTimersByTime(1)
    expect(await peer.expect('Push')).toMatchObject({ flags: PUSH_CANCEL, correlationId: next.id })
    abandoned.abort()
    expect((await lost).code).toBe('ABORTED')
  })

  it.each<[string, (asker: RawPeer) => void]>([
    ['closes', (asker) => asker.send(closeFrame(1n))],
    ['is gone', (asker) => asker.destroy()],
  ])('is cancelled when its asker %s, and its place is free', async (_how, leave) => {
    const server = await startServer()
    const peer = await extendedPeer(server)
    await registered(peer)
    const asker = await extendedPeer(server)
    asker.send(openFrame(1n, 'work', { flags: OPEN_DISPATCH }), messageFrame(1n, '1'))
    const { id } = await pushed(peer)
    leave(asker)
    expect(await peer.expect('Push')).toMatchObject({ flags: PUSH_CANCEL, correlationId: id })
    const next = server.bus.dispatch('work', 2)
    const { id: nextId } = await pushed(peer)
    peer.send(replyFrame(id, '"late"'), replyFrame(nextId, '"next"'))
    expect((await next).value).toBe('next')
  })

  it('is cancelled silently at a peer without the extension', async () => {
    const server = await startServer()
    const peer = await plainPeer(server)
    await registered(peer)
    const controller = new AbortController()
    const answer = failureOf(server.bus.ask('work', 1, { signal: controller.signal }))
    const { id } = await pushed(peer)
    controller.abort()
    expect((await answer).code).toBe('ABORTED')
    expect(await peer.rest()).toEqual([])
    peer.send(replyFrame(id, '1'))
    expect(await peer.rest()).toEqual([])
  })

  it('cannot be answered by another connection', async () => {
    const server = await startServer()
    const [peer, thief] = [await extendedPeer(server), await extendedPeer(server)]
    await registered(peer)
    await registered(thief, { identity: 'thief', taskQueue: 'other' })
    const answer = server.bus.ask('work', 1)
    const { id } = await pushed(peer)
    thief.send(replyFrame(id, '"stolen"'), answerFrame(id, { status: 'failed' }))
    await thief.rest()
    peer.send(replyFrame(id, '"mine"'), replyFrame(id, '"again"'))
    expect(await answer).toBe('mine')
    expect(await peer.rest()).toEqual([])
  })

  it('in a burst that its connection has no room for waits for the worker to read, in order', async () => {
    const server = await startServer({ limits: { outboxBytes: 1024 * 1024 } })
    const peer = await extendedPeer(server)
    await registered(peer)
    await announced(peer, 50)
    peer.socket.pause()
    const big = 'x'.repeat(512 * 1024)
    const numbers = Array.from({ length: 30 }, (_, index) => index)
    const outcomes = numbers.map((n) => server.bus.dispatch<number>('work', { n, big }))
    const asked = new AbortController()
    const aborted = failureOf(server.bus.ask('work', 1, { signal: asked.signal }))
    expect(server.workers[0].inFlight).toBe(31)
    asked.abort()
    expect((await aborted).code).toBe('ABORTED')
    peer.socket.resume()
    for (const n of numbers) {
      const { id, text } = await pushed(peer)
      expect(text.startsWith(`{"n":${n},`)).toBe(true)
      peer.send(replyFrame(id, String(n)))
    }
    for (const n of numbers) expect(await outcomes[n]).toMatchObject({ value: n, attempts: 1 })
    expect(await peer.rest()).toEqual([])
    expect(server.workers[0].inFlight).toBe(0)
  })

  it('that had no room yet goes to another worker when its own leaves in good order', async () => {
    const server = await startServer({ limits: { outboxBytes: 1024 * 1024 } })
    const [one, two] = [await extendedPeer(server), await extendedPeer(server)]
    await registered(one)
    await announced(one, 50)
    one.socket.pause()
    const outcomes = Array.from({ length: 40 }, () => server.bus.dispatch('work', 'x'.repeat(256 * 1024)))
    const settled = Promise.allSettled(outcomes)
    await registered(two, { identity: 'two' })
    await announced(two, 50)
    one.send(DISCONNECT)
    let isSettled = false
    void settled.then(() => {
      isSettled = true
      two.send(PING)
    })
    let count = 0
    for (let frame = await two.next(); !isSettled; frame = await two.next()) {
      if (frame.type !== 'Push') continue
      count++
      two.send(replyFrame(frame.correlationId, '1'))
    }
    const done = (await settled).flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    expect(done.map(({ deliveredTo, attempts }) => `${deliveredTo} ${attempts}`)).toEqual(Array(count).fill('two 2'))
    expect(count).toBeGreaterThan(0)
  })

  it('that no frame carries fails at once, for every worker', async () => {
    const server = await startServer({ limits: { frameBytes: 4_096 } })
    const peer = await extendedPeer(server)
    await registered(peer)
    const options = { timeoutMs: 60_000 }
    const dispatched = await failureOf(server.bus.dispatch('work', 'x'.repeat(4_090), options))
    expect(dispatched).toMatchObject({ code: 'RESPONDER_FAILED', cause: { code: 'LIMIT_EXCEEDED' } })
    expect((await failureOf(server.bus.ask('work', 'x'.repeat(4_090)))).code).toBe('LIMIT_EXCEEDED')
    expect(await peer.rest()).toEqual([])
    expect(server.workers[0].inFlight).toBe(0)
  })

  it('that a normal end leaves undone is not done again; after any other end it is', async () => {
    const server = await startServer()
    const [one, two] = [await extendedPeer(server), await extendedPeer(server)]
    await registered(one)
    const first = failureOf(server.bus.dispatch('work', 1))
    await pushed(one)
    await registered(two, { identity: 'two' })
    one.send(DISCONNECT)
    expect((await first).code).toBe('PARTICIPANT_GONE')
    expect(await two.rest()).toEqual([])
    const three = await extendedPeer(server)
    const second = server.bus.dispatch('work', 2)
    await pushed(two)
    await registered(three, { identity: 'three' })
    two.socket.end()
    const { id, work } = await pushed(three)
    expect(work?.attempt).toBe(2)
    three.send(replyFrame(id, '2'))
    expect(await second).toMatchObject({ value: 2, reroutedFrom: [{ consumer: 'two', reason: 'noconnection' }] })
  })
})
