import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const run = promisify(execFile)

interface Publishing {
  readonly perSecond: number
  readonly p50Us: number
  readonly p99Us: number
}

/** What `npm run bench:durable -- --json` prints, as far as it is looked at here. */
interface Report {
  readonly publishing: Readonly<Record<string, Readonly<Record<string, Publishing>>>>
  readonly catchingUp: Readonly<Record<string, { readonly messages: number; readonly perSecond: number }>>
  readonly recovery: Readonly<
    Record<string, { readonly messages: number; readonly conversations: number; readonly readyMs: number }>
  >
}

describe('bench:durable', () => {
  it('reads back every message of every system, and recovers what it killed', async () => {
    const script = new URL('../../bench/durable/main.mjs', import.meta.url).pathname
    // SQLite has an addon of its own to build.
    const small = ['--systems', 'liminal,liminal-tcp,raw-log', '--in-flight', '1,16', '--messages', '2000']
    const short = ['--runs', '1', '--seconds', '0.2', '--conversations', '20', '--json']
    const { stdout } = await run(process.execPath, [script, ...small, ...short])
    const { publishing, catchingUp, recovery }: Report = JSON.parse(stdout)
    for (const inFlight of ['1', '16']) {
      expect(Object.keys(publishing[inFlight])).toEqual(['liminal', 'liminal-tcp', 'raw-log'])
      for (const { perSecond, p50Us, p99Us } of Object.values(publishing[inFlight])) {
        expect(perSecond).toBeGreaterThan(0)
        expect(p99Us).toBeGreaterThanOrEqual(p50Us)
      }
    }
    for (const { messages, perSecond } of Object.values(catchingUp)) {
      expect(messages).toBe(2_000)
      expect(perSecond).toBeGreaterThan(0)
    }
    expect(recovery.empty).toMatchObject({ messages: 0, conversations: 0 })
    expect(recovery.conversations).toMatchObject({ messages: 2_000, conversations: 20 })
  }, 120_000)
})
