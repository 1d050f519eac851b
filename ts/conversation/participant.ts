import type { LiminalError } from '../errors.ts'
import type { ExitReason } from '../process/index.ts'
import type { CausalContext } from '../protocol/index.ts'
import type { MessageSteps } from './steps.ts'

/** Parts of a reply that a participant may be ahead of what was taken (extension `STREAMS`). */
export const PART_WINDOW = 64

/** Hears that nobody waits for a message any more. */
export interface AbandonListener {
  abandoned(error: LiminalError): void
}

/** Hears how far the parts of a reply were taken. */
export interface TakenListener {
  /** @param count parts taken so far, always more than before. */
  taken(count: number): void
}

/** One message on its way to a participant. */
export interface ParticipantMessage {
  /** Until {@link Participant.receive} returns: who keeps it longer copies it, because it may keep much more memory alive than it is. */
  readonly payload: Uint8Array
  readonly causal: CausalContext
  /** Whether somebody waits for the result. */
  readonly replyRequested: boolean
  /** Aborted when nobody waits any more. Made when it is first looked at. */
  readonly signal: AbortSignal
  /** Told instead, for who does not need a signal, when nobody waits any more; at once if that is so already. One listener. */
  onAbandoned(listener: AbandonListener): void
  /** 1 for the first try. */
  readonly attempt: number
  /** When nobody will wait any more, in milliseconds since the epoch; `null` if nobody said. */
  readonly deadline: number | null
  /** What dispatch goes by where it wants the same participant for the same thing; `null` if nobody said. */
  readonly key: string | null
  /** Where its steps are recorded; `null` unless its conversation is durable. */
  readonly steps: MessageSteps | null
  /** Whether the reply is taken in parts, {@link PART_WINDOW} of them ahead of what was taken at most. */
  readonly inParts: boolean
  /** Parts taken so far. */
  readonly taken: number
  /** Told when more were taken. One listener. */
  onTaken(listener: TakenListener): void
}

/**
 * Hears what became of a message: one call of either, or none if nobody waits any more. Whoever hears of it does so within that call: what the participant does next,
 * such as to leave, cannot overtake its reply (design §7). The first call counts, later ones change nothing.
 */
export interface MessageFate {
  /** It was processed. `reply` is good for this call, and `null` where none was requested, or where the parts are all there is. */
  reply(reply: Uint8Array | null): void
  /** A part of the reply, good for this call; only for a message that wants its reply in parts. What is beyond the window fails the message. */
  part(part: Uint8Array): void
  /** It was not: `RESPONDER_FAILED`, `PAYLOAD_INVALID` ... This is an answer too: nobody else is asked. */
  fail(error: LiminalError): void
  /** It was not even begun, or is undone: another participant may get it. `error` says why. */
  handBack(error: LiminalError): void
  /** Whatever was at it died, while the participant goes on: the crash policy decides about this message alone. */
  crash(reason: ExitReason): void
}

/** The answering side of one conversation, wherever it lives: in process, or behind a connection. */
export interface Participant {
  /** Takes a message, and says to `done` what became of it: before this returns, or later. What it throws fails the message too. */
  receive(message: ParticipantMessage, done: MessageFate): void
  /** The conversation is over; nothing is sent to this participant any more. @param reason what the other side said to that, `null` if nothing. */
  close(reason: string | null): void
  /** Told instead of {@link close} if the process of its source is over. What it still does is for nobody. */
  gone?(reason: ExitReason): void
}

/** What a participant is told about the conversation it joins. */
export interface ConversationInfo {
  /** Unique in the bus. */
  readonly id: bigint
  readonly subject: string
  /** Ends the conversation from the participant's side: normally (`null`), or with what happened to it. */
  leave(error: LiminalError | null): void
  /** The participant is no more, while its source goes on: the crash policy decides what becomes of the conversation. */
  lost(reason: ExitReason): void
}

/** Registered for a subject: makes a participant for each conversation that is routed to it. */
export interface ParticipantSource {
  /** What the consumer group of the subject calls it. Default: made from the pid of its process. */
  readonly id?: string | undefined
  /** Dispatched messages in flight to it at most. Default 64. */
  readonly capacity?: number | undefined
  /** What routing functions may choose by. Default: none. */
  readonly tags?: readonly string[] | undefined
  /**
   * Whether its participants say what became of each message also when nobody waits any more. A dispatched message that was given up keeps its place in the capacity until
   * then: the participant is still at it. Default: no, the place is free at once.
   */
  readonly finishes?: boolean | undefined
  /**
   * Whether {@link join} is worth a try. Asked of every source of a subject until one can, so it has to be cheap. It is a forecast: of sources that say no to an open that
   * nobody takes, one is tried all the same, for the reason. Default: always.
   */
  canJoin?(): boolean
  /** Takes part in a conversation. @throws LiminalError why it cannot. */
  join(conversation: ConversationInfo): Participant
}
