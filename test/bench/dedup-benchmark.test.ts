import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { judge, pauseMissed, type Report } from '../../bench/dedup/report.ts'

const MAIN = fileURLToPath(new URL('../../bench/dedup/main.ts', import.meta.url))

describe('bench:dedup', () => {
  it('measures the index, its twin and a Map at every size, and judges', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', MAIN, '--json', '--keys', '3000', '--keys', '12000'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    const [code] = await once(child, 'close')
    const report: Report = JSON.parse(output)
    // The pause is measured again if the machine was too busy.
    const measured = new Set(report.measurements.map(({ subject, keys }) => `${subject} ${keys}`))
    expect([...measured]).toEqual(
      [3000, 12_000].flatMap((keys) => ['native', 'map', 'typescript'].map((subject) => `${subject} ${keys}`)),
    )
    for (const { subject, mostBytesPerKey, ...numbers } of report.measurements) {
      expect(mostBytesPerKey === null, subject).toBe(subject === 'map')
      for (const name of [
        'insertsPerSecond',
        'claimsPerSecond',
        'singleClaimsPerSecond',
        'longestPauseMs',
        'longestCallMs',
      ] as const) {
        expect(numbers[name], `${name} of ${subject}`).toBeGreaterThan(0)
      }
      // A Map's heap grows by whatever the collector left, but an index knows what it has.
      if (subject !== 'map') expect(numbers.bytesPerKey).toBeGreaterThan(32)
    }
    expect(report.restored.map(({ subject, keys }) => `${subject} ${keys}`)).toEqual(['native 3000', 'typescript 3000'])
    expect(report.control.longestPauseMs).toBeGreaterThan(0)
    expect(report.verdicts).toEqual(judge(report.measurements))
    expect(code).toBe(report.verdicts.every(({ met }) => met) ? 0 : 1)
    // Nine processes or more, one after the other.
  }, 120_000)

  it('says that a threshold was missed', () => {
    const good = {
      keys: 1,
      insertsPerSecond: 1,
      singleClaimsPerSecond: 1,
      bytesPerKey: 40,
      mostBytesPerKey: 40,
      residentBytesPerKey: 40,
      longestPauseMs: 19.9,
      longestComputingMs: 1,
      loopDelayMs: 1,
      longestCallMs: 1,
      longestCallComputingMs: 1,
    }
    const map = { ...good, subject: 'map', claimsPerSecond: 100, mostBytesPerKey: null }
    const native = { ...good, subject: 'native', claimsPerSecond: 200 }
    const met = (changes: Partial<typeof native>) =>
      judge([{ ...native, ...changes }, map]).map((verdict) => verdict.met)
    expect(met({})).toEqual([true, true, true])
    expect(met({ claimsPerSecond: 199 })).toEqual([false, true, true])
    expect(met({ mostBytesPerKey: 40.1 })).toEqual([true, false, true])
    expect(met({ longestPauseMs: 20 })).toEqual([true, true, false])
    const attempts = [{ ...native, longestPauseMs: 90 }, map, { ...native, longestPauseMs: 5 }]
    expect(judge(attempts).at(-1)).toMatchObject({ measured: 5, met: true })
    expect(pauseMissed(judge(attempts))).toBe(false)
    expect(pauseMissed(judge(attempts.slice(0, 2)))).toBe(true)
  })
})
