import { describe, expect, it } from 'vitest'
import { liminal, sharedServer } from './cli.ts'

const REPORT = {
  messages: 5_000,
  size: 64,
  publishers: 2,
  subscribers: 2,
  serverCodec: expect.stringMatching(/^(native|typescript)$/),
  seconds: expect.any(Number),
  messagesPerSecond: expect.any(Number),
  latencyMilliseconds: { p50: expect.any(Number), p99: expect.any(Number), max: expect.any(Number) },
  serverCpuMicrosecondsPerMessage: expect.any(Number),
  peakRssBytes: { server: expect.any(Number), publisher: expect.any(Number), subscriber: expect.any(Number) },
  passed: true,
}
const SMALL = ['--messages', '5000', '--size', '64', '--publishers', '2', '--subscribers', '2', '--json']

function check(expected: number) {
  return { expected, received: expected, lost: 0, duplicates: 0, outOfOrder: 0, corrupt: 0 }
}

describe('liminal bench', () => {
  const shared = sharedServer('--channel', 'load')

  it.each([
    ['acknowledged', []],
    ['unacknowledged', ['--unacknowledged']],
  ] as const)('measures %s publishes and misses none', async (mode, extra) => {
    const { code, stdout, stderr } = await liminal(['bench', 'pubsub', ...SMALL, ...extra])
    expect(stderr).toBe('')
    expect(code).toBe(0)
    const report = JSON.parse(stdout)
    expect(report).toEqual({ ...REPORT, benchmark: 'pubsub', mode, inFlight: 1_024, check: check(10_000) })
    expect(report.messagesPerSecond).toBeCloseTo(5_000 / report.seconds, 3)
    expect(report.serverCpuMicrosecondsPerMessage).toBeGreaterThan(0)
    expect(report.latencyMilliseconds.p50).toBeLessThanOrEqual(report.latencyMilliseconds.p99)
    expect(report.peakRssBytes.server).toBeGreaterThan(10_000_000)
  })

  it('loses nothing of a million messages', async () => {
    const { code, stdout } = await liminal(['bench', 'pubsub', '--messages', '1000000', '--size', '128', '--json'])
    expect(code).toBe(0)
    const report = JSON.parse(stdout)
    expect(report.check).toEqual(check(1_000_000))
    // What is underway is bounded: the server holds a small part of the 128 MB that went through it.
    expect(report.peakRssBytes.server).toBeLessThan(300_000_000)
  })

  it('measures requests, each answered once with its own reply', async () => {
    const { code, stdout } = await liminal(['bench', 'ask', ...SMALL])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual({
      ...REPORT,
      benchmark: 'ask',
      mode: 'ask',
      inFlight: 64,
      check: check(5_000),
    })
  })

  it('measures a server that runs already, whose CPU it cannot know', async () => {
    const url = shared()
    const args = ['bench', 'pubsub', '--messages', '500', '--channel', 'load', '--url', url]
    const { code, stdout } = await liminal([...args, '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ serverCpuMicrosecondsPerMessage: null, serverCodec: null, passed: true })
    const readable = await liminal(args)
    expect(readable.stdout).toContain('all 500 arrived, once, whole, in order')
    expect(readable.stderr).toBe('')
  })

  it('says why a server does not take part', async () => {
    const url = shared()
    const { code, stderr } = await liminal(['bench', 'pubsub', '--messages', '500', '--url', url])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^CHANNEL_NOT_FOUND: subscriber 1: /)
  })

  it('refuses messages too small to be told apart', async () => {
    expect((await liminal(['bench', 'pubsub', '--size', '15'])).code).toBe(2)
    expect((await liminal(['bench', 'pubsub', '--messages', '1', '--publishers', '2'])).code).toBe(2)
  })
})
