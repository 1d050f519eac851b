import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const run = promisify(execFile)

interface Times {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

interface Kills {
  readonly completed: number
  readonly lost: number
  readonly duplicates: number
  readonly processesLeft: number
}

/** What `npm run bench:crash -- --json` prints, as far as it is looked at here. */
interface Report {
  readonly kills: number
  readonly sections: {
    readonly 'in-process': { readonly ask: Kills; readonly dispatch: Kills }
    readonly thread: Kills & { readonly exitToRerouteMs: Times }
    readonly connection: Kills & {
      readonly closeToPushMs: Times
      readonly killToReplyMs: Times
      readonly refusedAnswers: number
    }
    readonly throughput: { readonly inFlight: number; readonly completionsPerSecond: number }
    readonly loop: {
      readonly outcome: string
      readonly replaced: string
      readonly endedAfterMs: number
      readonly quiet: object
      readonly busy: object
    }
  }
}

describe('bench:crash', () => {
  it('kills participants, threads and processes, and loses and doubles nothing', async () => {
    const script = new URL('../../bench/crash/main.mjs', import.meta.url).pathname
    const { stdout } = await run(process.execPath, [script, '--json', '--kills', '5', '--seconds', '1'])
    const { kills, sections }: Report = JSON.parse(stdout)
    const { thread, connection, throughput, loop } = sections
    expect(kills).toBe(5)
    for (const section of [sections['in-process'].ask, sections['in-process'].dispatch, thread, connection]) {
      expect(section).toMatchObject({ completed: 5, lost: 0, duplicates: 0, processesLeft: 0 })
    }
    for (const times of [thread.exitToRerouteMs, connection.closeToPushMs, connection.killToReplyMs]) {
      expect(times.p50).toBeGreaterThanOrEqual(0)
      expect(times.max).toBeGreaterThanOrEqual(times.p99)
    }
    expect(throughput.inFlight).toBe(64)
    expect(throughput.completionsPerSecond).toBeGreaterThan(0)
    // Ended by the deadline of the request and replaced, while others were answered.
    expect(loop).toMatchObject({ outcome: 'TIMEOUT', replaced: 'sane' })
  }, 120_000)
})
