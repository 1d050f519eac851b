import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { type Summary, summarize } from '../measure/statistics.ts'
import type { Outcome } from '../run/all.ts'
import type { Effort, FailedRun, Metric, Run } from '../run/measurement.ts'
import type { System } from '../systems/system.ts'
import type { Workload } from '../workloads.ts'
import { judge, type Verdict } from './targets.ts'

/** One system in one workload, over all its runs. */
export interface Result {
  readonly workload: string
  readonly system: string
  readonly runs: number
  readonly metrics: Readonly<Partial<Record<Metric, Summary>>>
}

/** What was left out, and why. `workload` is null where it is the whole system. */
export interface Skipped {
  readonly system: string
  readonly workload: string | null
  readonly reason: string
}

/** Everything that was found: what `--json` prints, and what the page and the table are made from. */
export interface Report {
  readonly date: string
  readonly machine: string
  readonly effort: Effort
  readonly workloads: readonly { readonly name: string; readonly title: string; readonly unit: string }[]
  readonly systems: readonly {
    readonly name: string
    readonly title: string
    readonly kind: System['kind']
    readonly version: string
    readonly setting: string
    readonly durability: string | null
  }[]
  readonly skipped: readonly Skipped[]
  readonly failed: readonly FailedRun[]
  readonly results: readonly Result[]
  readonly targets: readonly Verdict[]
  /** The worst of all runs: what other processes and the machine's host took of its processors, and how long the queue was. */
  readonly noise: { readonly foreign: number; readonly stolen: number; readonly load: number }
  readonly runs: readonly Run[]
}

/** A system that is there, in its version. */
export interface Entrant {
  readonly system: System
  readonly version: string
}

export function reportOf(
  workloads: readonly Workload[],
  entrants: readonly Entrant[],
  missing: readonly Skipped[],
  effort: Effort,
  { runs, failed }: Outcome,
): Report {
  const systems = entrants.map(({ system, version }) => {
    const { name, title, kind, setting, durability } = system
    return { name, title, kind, version, setting, durability }
  })
  const results = workloads.flatMap(({ name }) => systems.flatMap((system) => resultOf(name, system.name, runs)))
  return {
    date: new Date().toISOString(),
    machine: machine(),
    effort,
    workloads: workloads.map(({ name, title, unit }) => ({ name, title, unit })),
    systems,
    skipped: [...missing, ...omissions(workloads, entrants)],
    failed,
    results,
    targets: judge(results, systems),
    noise: {
      foreign: Math.max(0, ...runs.map(({ metrics }) => metrics.foreign)),
      stolen: Math.max(0, ...runs.map(({ metrics }) => metrics.stolen)),
      load: Math.max(0, ...runs.map(({ metrics }) => metrics.load)),
    },
    runs,
  }
}

function resultOf(workload: string, system: string, all: readonly Run[]): Result[] {
  const runs = all.filter((run) => run.workload === workload && run.system === system)
  if (runs.length === 0) return []
  const metrics: Partial<Record<Metric, Summary>> = {}
  for (const metric of METRICS) {
    const values = runs.flatMap((run) => run.metrics[metric] ?? [])
    if (values.length > 0) metrics[metric] = summarize(values)
  }
  return [{ workload, system, runs: runs.length, metrics }]
}

function omissions(workloads: readonly Workload[], entrants: readonly Entrant[]): Skipped[] {
  return entrants.flatMap(({ system }) =>
    workloads.flatMap(({ name }) => {
      const reason = system.omissions[name]
      return reason === undefined ? [] : [{ system: system.name, workload: name, reason }]
    }),
  )
}

function machine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  const memory = Math.round(totalmem() / 1024 ** 3)
  return `${availableParallelism()} x ${model}, ${memory} GiB, ${process.platform} ${release()} ${process.arch}, Node ${process.version}`
}

/** Every metric, in the order of the tables. */
export const METRICS: readonly Metric[] = [
  'rate',
  'serverCpu',
  'publisherCpu',
  'subscriberCpu',
  'p50',
  'p99',
  'p999',
  'serverPeak',
  'publisherPeak',
  'subscriberPeak',
  'allocated',
  'collecting',
  'connectionMemory',
  'idleCpu',
  'foreign',
  'stolen',
  'load',
]
