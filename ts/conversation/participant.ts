import type { LiminalError } from '../errors.ts'
import type { CausalContext } from '../protocol/index.ts'

/** One message on its way to a participant. */
export interface ParticipantMessage {
  readonly payload: Uint8Array
  readonly causal: CausalContext
  /** Whether somebody waits for the result. */
  readonly replyRequested: boolean
  /** Aborted when nobody waits any more. Made when it is first looked at. */
  readonly signal: AbortSignal
  /** Called instead, by who does not need a signal, when nobody waits any more; at once if that is so already. One listener. */
  onAbandoned(listener: (error: LiminalError) => void): void
  /** 1 for the first try. */
  readonly attempt: number
}

/** The answering side of one conversation, wherever it lives: in process, or behind a connection. */
export interface Participant {
  /**
   * Takes a message. Resolves with the reply, or `null` where none was requested. Rejects with a LiminalError (`RESPONDER_FAILED`, `PARTICIPANT_GONE` ...).
   */
  receive(message: ParticipantMessage): Promise<Uint8Array | null>
  /** The conversation is over; nothing is sent to this participant any more. */
  close(): void
}

/** What a participant is told about the conversation it joins. */
export interface ConversationInfo {
  /** Unique in the bus. */
  readonly id: bigint
  readonly subject: string
  /** Ends the conversation from the participant's side: normally (`null`), or with what happened to it. */
  leave(error: LiminalError | null): void
}

/** Registered for a subject: makes a participant for each conversation that is routed to it. */
export interface ParticipantSource {
  join(conversation: ConversationInfo): Participant
}
