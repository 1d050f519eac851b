import { describe, expect, it } from 'vitest'
import type { Result } from '../source/report/report.ts'
import { judge } from '../source/report/targets.ts'
import type { Metric } from '../source/run/measurement.ts'

const COMPETITORS = [
  { name: 'liminal', kind: 'liminal' },
  { name: 'liminal-typescript', kind: 'liminal' },
  { name: 'raw', kind: 'floor' },
  { name: 'nats', kind: 'broker' },
  { name: 'redis', kind: 'broker' },
  { name: 'zeromq', kind: 'library' },
] as const

function result(workload: string, system: string, metrics: Partial<Record<Metric, number>>): Result {
  const summaries = Object.entries(metrics).map(([name, median]) => [name, { median, min: median, max: median }])
  return { workload, system, runs: 3, metrics: Object.fromEntries(summaries) }
}

function verdict(results: readonly Result[], workload: string, target: string) {
  const found = judge(results, COMPETITORS).find((each) => each.workload === workload && each.target.includes(target))
  if (found === undefined) throw new Error(`there is no verdict on ${workload}: ${target}`)
  return { value: found.value, holds: found.holds }
}

describe('the verdict on the targets', () => {
  it('compares medians of one run, and a ratio may be exactly what is wanted', () => {
    const results = [result('W1', 'liminal', { rate: 400 }), result('W1', 'nats', { rate: 100 })]
    expect(verdict(results, 'W1', 'messages/s over NATS')).toEqual({ value: 4, holds: true })
  })

  it('wants server CPU to be low', () => {
    const results = [result('W1', 'liminal', { serverCpu: 5 }), result('W1', 'nats', { serverCpu: 10 })]
    expect(verdict(results, 'W1', 'server CPU for each message over NATS')).toEqual({ value: 0.5, holds: false })
  })

  it('takes the best of all peers where the target says peer, and of brokers where it says broker', () => {
    const rates = (workload: string) => [
      result(workload, 'liminal', { rate: 1_000 }),
      result(workload, 'nats', { rate: 100 }),
      result(workload, 'redis', { rate: 200 }),
      result(workload, 'zeromq', { rate: 500 }),
      result(workload, 'raw', { rate: 900 }),
    ]
    expect(verdict(rates('W3'), 'W3', 'best peer')).toEqual({ value: 2, holds: false })
    expect(verdict(rates('W4'), 'W4', 'best broker')).toEqual({ value: 5, holds: true })
  })

  it('takes the lowest latency as the best one', () => {
    const results = [
      result('W4-single', 'liminal', { p99: 300 }),
      result('W4-single', 'nats', { p99: 200 }),
      result('W4-single', 'redis', { p99: 400 }),
    ]
    expect(verdict(results, 'W4-single', 'p99')).toEqual({ value: 1.5, holds: false })
  })

  it('holds W5 against each of its peers, and the raw log', () => {
    const results = [
      result('W5', 'liminal', { rate: 300 }),
      result('W5', 'redis-streams', { rate: 100 }),
      result('W5', 'jetstream', { rate: 80 }),
      result('W5', 'raw', { rate: 500 }),
    ]
    expect(verdict(results, 'W5', 'Redis')).toEqual({ value: 3, holds: true })
    expect(verdict(results, 'W5', 'JetStream')).toEqual({ value: 3.75, holds: false })
    expect(verdict(results, 'W5', 'raw log')).toEqual({ value: 0.6, holds: true })
  })

  it('takes what a key costs as the difference from W1, and cannot say without it', () => {
    const keyed = result('W8', 'liminal', { serverCpu: 1 })
    expect(verdict([keyed, result('W1', 'liminal', { serverCpu: 0.25 })], 'W8', 'more than in W1')).toEqual({
      value: 0.75,
      holds: false,
    })
    expect(verdict([keyed], 'W8', 'more than in W1')).toEqual({ value: null, holds: null })
  })

  it('says nothing of what was not measured, and leaves out workloads without liminal', () => {
    expect(verdict([result('W6', 'liminal', { rate: 9 })], 'W6', 'Mosquitto')).toEqual({ value: null, holds: null })
    expect(judge([result('W6', 'nats', { rate: 9 })], COMPETITORS)).toEqual([])
  })

  it.each([
    [
      { rate: 130, serverCpu: 10 },
      { value: 1.3, holds: true },
    ],
    [
      { rate: 100, serverCpu: 7 },
      { value: 0.7, holds: true },
    ],
    [
      { rate: 120, serverCpu: 8 },
      { value: 1.2, holds: false },
    ],
  ])('lets the native codec be worth it in rate or in CPU: %o', (native, expected) => {
    const results = [result('W1', 'liminal', native), result('W1', 'liminal-typescript', { rate: 100, serverCpu: 10 })]
    expect(verdict(results, 'W1', 'TypeScript codec')).toEqual(expected)
  })
})
