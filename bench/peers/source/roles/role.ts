import type { Check } from '../measure/message.ts'

/** What a client process does when it is told to. Absent: it is never told. */
export interface Part {
  /** Publishes or asks for so many seconds, and so many messages at most; the end is told to the parent. */
  phase?(seconds: number, messages: number): Promise<void>
  /** All subscribers have every message before this one. */
  progress?(through: number): void
  /** Opens so many more idle connections. */
  open?(connections: number): Promise<void>
  /** What each connection has found so far. */
  check?(): Check[]
}

/** What a system should offer for a workload and does not: a mistake in `systems/`. */
export function notOffered(what: string): Error {
  return new Error(`This client offers no ${what}; its system must leave out the workload that needs one.`)
}
