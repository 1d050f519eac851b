import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ReasonCode } from '../../ts/protocol/index.ts'
import { Keepalive } from '../../ts/server/keepalive.ts'
import { extendedPeer, plainPeer, startServer } from './fixture.ts'

describe('keepalive', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate', 'performance'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  function keepalive(options: { intervalMs?: number; listening?: () => boolean } = {}) {
    const events: string[] = []
    const watch = new Keepalive({
      intervalMs: options.intervalMs ?? 100,
      listening: options.listening ?? (() => true),
      ping: () => events.push('ping'),
      onSilence: (silentMs) => events.push(`silent for ${silentMs}`),
    })
    return { events, watch }
  }

  it('pings after one interval of silence, once, and gives up after two', () => {
    const { events } = keepalive()
    vi.advanceTimersByTime(99)
    expect(events).toEqual([])
    vi.advanceTimersByTime(1)
    expect(events).toEqual(['ping'])
    vi.advanceTimersByTime(99)
    expect(events).toEqual(['ping'])
    vi.advanceTimersByTime(1)
    vi.runOnlyPendingTimers()
    expect(events).toEqual(['ping', expect.stringMatching(/^silent for 20\d/)])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('does not disturb a peer that is heard', () => {
    const { events, watch } = keepalive()
    for (let round = 0; round < 20; round++) {
      vi.advanceTimersByTime(90)
      watch.heard()
    }
    expect(events).toEqual([])
    watch.stop()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('starts anew with the answer to a ping', () => {
    const { events, watch } = keepalive()
    vi.advanceTimersByTime(150)
    watch.heard()
    vi.advanceTimersByTime(150)
    expect(events).toEqual(['ping', 'ping'])
    watch.stop()
  })

  it('reads what has arrived before it gives up', () => {
    const { events, watch } = keepalive()
    vi.advanceTimersByTime(100)
    // The process stalls: the answer and the deadline come at once, the deadline first.
    vi.advanceTimersToNextTimer()
    watch.heard()
    vi.runOnlyPendingTimers()
    expect(events).toEqual(['ping'])
    watch.stop()
  })

  it('does not take a peer for silent that is not listened to', () => {
    let listening = false
    const { events } = keepalive({ listening: () => listening })
    vi.advanceTimersByTime(1_000)
    expect(events).toEqual([])
    listening = true
    vi.advanceTimersByTime(250)
    expect(events).toEqual(['ping', expect.stringMatching(/^silent for/)])
  })

  it('watches nothing with an interval of 0', () => {
    keepalive({ intervalMs: 0 })
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('a silent peer', () => {
  it('is pinged, and ended if it stays silent', async () => {
    const peer = await plainPeer(await startServer({ keepaliveMs: 30 }))
    await peer.expect('Ping')
    expect(await peer.expect('ConnectError')).toMatchObject({ reasonCode: ReasonCode.ServerError })
    await peer.ended
  })

  it('lives on as long as it answers', async () => {
    const peer = await plainPeer(await startServer({ keepaliveMs: 200 }))
    for (let round = 0; round < 3; round++) {
      await peer.expect('Ping')
      peer.send({ type: 'Pong', flags: 0, streamId: 0 })
    }
    expect((await peer.rest()).every((frame) => frame.type === 'Ping')).toBe(true)
  })

  it('is not pinged if it may take that for an answer', async () => {
    const server = await startServer({ keepaliveMs: 20, deliver: false })
    const old = await plainPeer(server)
    expect(await old.expect('ConnectError')).toMatchObject({ reasonCode: ReasonCode.ServerError })
    const extended = await extendedPeer(server)
    await extended.expect('Ping')
  })
})
