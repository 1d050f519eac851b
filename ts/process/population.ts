import type { Pid } from './exit.ts'
import type { PassiveProcess } from './process.ts'

/**
 * Processes that are too many to keep a record of each: conversations, of which a busy bus begins and ends 100,000 a second. They have a pid from birth
 * (`ProcessSystem.reservePid`); the rest is made when somebody names one, by its pid or in a listing. Whoever was never named leaves no recorded exit, which nobody could ask
 * for.
 */
export interface Population {
  /** Members that live and were not named yet. */
  readonly size: number
  /** Their pids, oldest first. */
  pids(): Iterable<Pid>
  /** Makes a living member known, with `ProcessSystem.adopt`; `null` if there is none of that pid. Called once for each. */
  name(pid: Pid): PassiveProcess | null
}
