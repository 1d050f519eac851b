import type { LiminalError } from '../errors.ts'
import type { Exit, PassiveProcess, Pid } from '../process/index.ts'
import type { CausalContext } from '../protocol/index.ts'
import type { ConversationCore } from './conversation-core.ts'
import type { ConversationEvent } from './conversation-history.ts'
import type { ConversationRecord } from './conversation-record.ts'
import type { Seat } from './seat.ts'
import type { SourceRegistration } from './source-registration.ts'

/**
 * Where a conversation stands (spec conversations §2). `created`: open, and nothing was sent. `active`: open. `completing`: closed, and messages that want no reply are
 * being finished. `closed`. `failed`: ended with an error, which says why.
 */
export type ConversationPhase = 'created' | 'active' | 'completing' | 'closed' | 'failed'

/** What becomes of requests whose participant crashes: they fail, or another participant gets them. */
export type CrashAction = 'fail' | 'route-to-next'

/** How a conversation is held. */
export interface ConversationTerms {
  /** Default `fail`. */
  readonly onCrash?: CrashAction | undefined
  /** Participants that may be tried for one request, the first included. Default 3: a request that kills its participants must not kill them all. */
  readonly maxAttempts?: number | undefined
  /** Milliseconds after which the conversation fails with `TIMEOUT`, whatever is underway. Default: never. */
  readonly deadlineMs?: number | undefined
  /** Milliseconds without a message or a reply after which it fails with `TIMEOUT`. Default: never. */
  readonly idleTimeoutMs?: number | undefined
  /** What caused it. Messages that say nothing themselves have this. Default: nothing said. */
  readonly causal?: CausalContext | undefined
  /** When it was opened, on the clock of `performance.now()`; before the start of the process for one that came back. Default: now. */
  readonly openedAt?: number | undefined
  /** What a durable conversation is called. */
  readonly key?: string | undefined
}

/** Hears of the end of a conversation, from whichever side it comes. */
export interface ConversationOwner {
  /** Called once. `null`: it was closed. */
  ended(error: LiminalError | null): void
  /** Messages underway, those included that wait for somebody to take them. Default: those that somebody is at. */
  readonly underway?: number
}

/** Where the live conversations are, and who takes part in them. */
export interface ConversationKeeper {
  /** Called once, when it is over. */
  over(conversation: ConversationCore, error: LiminalError | null): void
  /** Makes the process of a conversation known. It ends with the conversation, and the conversation with it. */
  adopt(conversation: ConversationRecord, onExit: (exit: Exit) => void): PassiveProcess
  /** Finds a participant. @param shunned sources that are not to be tried. @throws LiminalError why nobody can take part. */
  seat(conversation: ConversationCore, shunned: ReadonlySet<SourceRegistration> | null): Seat
}

/** Limits that all conversations of a registry share. */
export interface ConversationLimits {
  /** Messages underway at once, at most. */
  readonly maxPending: number
  /** Events remembered. */
  readonly history: number
}

/** One live conversation, for listings. */
export interface ConversationDetails {
  readonly id: bigint
  readonly subject: string
  /** What a durable conversation is called, also after a restart; `null` for one that is not. */
  readonly key: string | null
  readonly phase: ConversationPhase
  /** Pid of its process. */
  readonly pid: Pid
  /** Pid of the process that it is held with now; `null` between a crash and the next message. */
  readonly participant: Pid | null
  /** Milliseconds since the epoch. */
  readonly openedAt: number
  /** When it fails at the latest, in milliseconds since the epoch; `null` if never. */
  readonly deadline: number | null
  /** Messages underway. */
  readonly pending: number
  readonly causal: CausalContext
  /** The latest things that happened, oldest first. */
  readonly history: readonly ConversationEvent[]
}
