import type { System } from '../systems/system.ts'
import type { Workload } from '../workloads.ts'
import { Crew } from './crew.ts'
import type { Effort, FailedRun, Run } from './measurement.ts'
import { perform } from './scenarios.ts'

/** What all runs came to. */
export interface Outcome {
  readonly runs: readonly Run[]
  readonly failed: readonly FailedRun[]
}

/**
 * Runs every workload on every system that has it. The systems take turns within a workload, and start with another one each time, so that a machine that
 * gets slower or faster meanwhile does so for all of them. A run that fails is noted, and the others go on.
 *
 * @throws the reason of the signal.
 */
export async function runAll(
  workloads: readonly Workload[],
  systems: readonly System[],
  effort: Effort,
  signal: AbortSignal,
  onRun: (run: Run | FailedRun) => void,
): Promise<Outcome> {
  const runs: Run[] = []
  const failed: FailedRun[] = []
  for (const workload of workloads) {
    const entrants = systems.filter((system) => system.workloads.includes(workload.name))
    for (let run = 1; run <= effort.runs; run++) {
      const first = (run - 1) % Math.max(1, entrants.length)
      for (const system of [...entrants.slice(first), ...entrants.slice(0, first)]) {
        const which = { workload: workload.name, system: system.name, run }
        try {
          const measured = {
            ...which,
            metrics: await Crew.run(system, workload.name, signal, (crew) => perform(crew, workload, effort)),
          }
          runs.push(measured)
          onRun(measured)
        } catch (error) {
          signal.throwIfAborted()
          const noted = { ...which, error: error instanceof Error ? error.message : String(error) }
          failed.push(noted)
          onRun(noted)
        }
      }
    }
  }
  return { runs, failed }
}
