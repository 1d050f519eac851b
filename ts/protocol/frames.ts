/**
 * The frames of liminal protocol 1.0 as values (spec wire §4): field for field what is on the wire, nothing derived.
 *
 * u64 fields are `bigint`, bytes are `Uint8Array`, a schema id is exactly 32 bytes, an absent optional is `null` and
 * differs from an empty one. `flags` is kept verbatim for every type.
 */

/** A protocol version, compared by (major, minor). Both are u16. */
export interface Version {
  readonly major: number
  readonly minor: number
}

/** What a message says about its origin. Both fields are optional on the wire; `null` is absent. */
export interface CausalContext {
  readonly parentId: string | null
  readonly vectorClockEntry: bigint | null
}

/** A message: the id of its schema (32 bytes), its causal context and its payload, which the codec never looks into. */
export interface Envelope {
  readonly schemaId: Uint8Array
  readonly causal: CausalContext
  readonly payload: Uint8Array
}

/** One activity of a worker's census. The schemas are JSON text that the codec does not parse. */
export interface Activity {
  readonly name: string
  readonly inputSchemaJson: string
  readonly outputSchemaJson: string
}

/** Who a worker is and what it can do. `activities` is `null` where the trailing list is absent (0.2.1 peers). */
export interface WorkerRegistration {
  readonly namespaces: readonly string[]
  readonly taskQueue: string
  readonly node: string | null
  readonly activityTypes: readonly string[]
  readonly identity: string
  readonly activities: readonly Activity[] | null
}

/** The answer to a registration. `reason` is `null` exactly when accepted. */
export type WorkerRegisterOutcome =
  | { readonly status: 'Accepted'; readonly reason: null }
  | { readonly status: 'Rejected'; readonly reason: string }

interface Head<Type extends string> {
  readonly type: Type
  /** u8, kept verbatim. */
  readonly flags: number
  /** u32. 0 for connection frames, at least 1 for all other known types. */
  readonly streamId: number
}

interface Refusal {
  /** u16, see `ReasonCode`. */
  readonly reasonCode: number
  readonly message: string | null
}

export interface Connect extends Head<'Connect'> {
  readonly minVersion: Version
  readonly maxVersion: Version
  readonly authToken: Uint8Array
}
export interface ConnectAck extends Head<'ConnectAck'> {
  readonly selectedVersion: Version
  /** u32 of capability bits. */
  readonly capabilities: number
}
export interface ConnectError extends Head<'ConnectError'>, Refusal {}
export interface Disconnect extends Head<'Disconnect'> {}
export interface Subscribe extends Head<'Subscribe'> {
  readonly channel: string
  readonly acceptedSchemas: readonly Uint8Array[]
  /** u32, never 0. */
  readonly maxInFlight: number
}
export interface SubscribeAck extends Head<'SubscribeAck'> {
  readonly subscriptionId: bigint
  readonly selectedSchema: Uint8Array
}
export interface SubscribeError extends Head<'SubscribeError'>, Refusal {}
export interface Unsubscribe extends Head<'Unsubscribe'> {
  readonly subscriptionId: bigint
}
export interface Publish extends Head<'Publish'> {
  readonly channel: string
  readonly envelope: Envelope
  /** Present if and only if `flags & 0x02`. */
  readonly idempotencyKey: string | null
}
export interface PublishAck extends Head<'PublishAck'> {
  readonly messageId: bigint
}
export interface PublishError extends Head<'PublishError'>, Refusal {}
export interface ConversationOpen extends Head<'ConversationOpen'> {
  readonly conversationId: bigint
  readonly subject: string
}
export interface ConversationMessage extends Head<'ConversationMessage'> {
  readonly conversationId: bigint
  readonly envelope: Envelope
}
export interface ConversationClose extends Head<'ConversationClose'> {
  readonly conversationId: bigint
  readonly reasonCode: number | null
  readonly message: string | null
}
export interface ConversationError extends Head<'ConversationError'>, Refusal {
  readonly conversationId: bigint
}
export interface Accept extends Head<'Accept'> {
  readonly referencedMessageId: string
}
export interface Defer extends Head<'Defer'> {
  readonly referencedMessageId: string
  readonly reason: string | null
}
export interface Reject extends Head<'Reject'> {
  readonly referencedMessageId: string
  readonly reason: string | null
}
export interface Ping extends Head<'Ping'> {}
export interface Pong extends Head<'Pong'> {}
export interface Push extends Head<'Push'> {
  readonly correlationId: bigint
  readonly payload: Uint8Array
}
export interface PushReply extends Head<'PushReply'> {
  readonly correlationId: bigint
  readonly payload: Uint8Array
}
export interface WorkerRegister extends Head<'WorkerRegister'> {
  readonly registration: WorkerRegistration
}
export interface WorkerRegisterAck extends Head<'WorkerRegisterAck'> {
  readonly outcome: WorkerRegisterOutcome
}
/** A published message on its way to a subscriber, on the subscription's stream. `deliverySeq` counts from 1. */
export interface Deliver extends Head<'Deliver'> {
  readonly deliverySeq: bigint
  readonly envelope: Envelope
}
/** A frame of a type this protocol does not know. Skipped by a session, never an error. */
export interface Unknown extends Head<'Unknown'> {
  /** The type byte as it came. */
  readonly typeId: number
  readonly payload: Uint8Array
}

/** Any frame; tell them apart by `type`. */
export type Frame =
  | Connect
  | ConnectAck
  | ConnectError
  | Disconnect
  | Subscribe
  | SubscribeAck
  | SubscribeError
  | Unsubscribe
  | Publish
  | PublishAck
  | PublishError
  | ConversationOpen
  | ConversationMessage
  | ConversationClose
  | ConversationError
  | Accept
  | Defer
  | Reject
  | Ping
  | Pong
  | Push
  | PushReply
  | WorkerRegister
  | WorkerRegisterAck
  | Deliver
  | Unknown

/** The type byte of every known frame. */
export const FrameType = {
  Connect: 0x01,
  ConnectAck: 0x02,
  ConnectError: 0x03,
  Disconnect: 0x04,
  Subscribe: 0x05,
  SubscribeAck: 0x06,
  SubscribeError: 0x07,
  Unsubscribe: 0x08,
  Publish: 0x09,
  PublishAck: 0x0a,
  PublishError: 0x0b,
  ConversationOpen: 0x0c,
  ConversationMessage: 0x0d,
  ConversationClose: 0x0e,
  ConversationError: 0x0f,
  Accept: 0x10,
  Defer: 0x11,
  Reject: 0x12,
  Ping: 0x13,
  Pong: 0x14,
  Push: 0x15,
  PushReply: 0x16,
  WorkerRegister: 0x17,
  WorkerRegisterAck: 0x18,
  Deliver: 0x19,
} as const
