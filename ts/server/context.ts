import type { BusCore } from '../bus/index.ts'
import type { FrameBatch } from '../codec/index.ts'
import type { LiminalError } from '../errors.ts'
import type { Process } from '../process/index.ts'
import type { ResolvedOptions } from './options.ts'
import type { Output } from './output.ts'
import type { Refusal } from './refusals.ts'

/** What the handlers of one session share: its peer, and the bus behind it. */
export interface SessionContext {
  readonly id: number
  readonly bus: BusCore
  readonly options: ResolvedOptions
  readonly output: Output
  /** Who this peer is, in UTF-8, as a log remembers it: its address. */
  readonly publisher: Uint8Array
  /** The process of the session, whose children its responders are. */
  readonly process: Process
  /** The capability bits granted to this peer. */
  readonly capabilities: number
  /** Why this session takes no new work, or `null` while it does. */
  readonly refusing: LiminalError | null
  /** Whether the peer was granted a capability. */
  granted(capability: number): boolean
  /** Echoes a frame that is done, to a peer that asked for it (extension `CONFIRMATIONS`). */
  confirm(batch: FrameBatch, row: number): void
  /** An error in the words that this peer understands. */
  refusal(error: LiminalError): Refusal
  /** Tells that something underway has finished, for an end that waits for it. */
  settled(): void
}
