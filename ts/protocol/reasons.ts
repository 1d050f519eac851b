import type { ErrorCode } from '../errors.ts'

/** The u16 reason codes of error frames: 1.0 (spec server §7.8, post-0.2.1 §6) and, from 0x8000, extension `REASONS`. */
export const ReasonCode = {
  IncompleteHeader: 0x0001,
  TruncatedPayload: 0x0002,
  UnknownFrameType: 0x0003,
  InvalidStream: 0x0004,
  InvalidStateTransition: 0x0005,
  AuthenticationFailure: 0x0006,
  VersionMismatch: 0x0007,
  SchemaIncompatible: 0x0008,
  Codec: 0x0009,
  ChannelNotFound: 0x0101,
  ChannelClosed: 0x0102,
  PayloadInvalid: 0x8001,
  SubscriptionShed: 0x8002,
  NoResponder: 0x8003,
  ResponderFailed: 0x8004,
  ParticipantGone: 0x8005,
  ConversationNotFound: 0x8006,
  ConversationExists: 0x8007,
  ConversationClosed: 0x8008,
  Timeout: 0x8009,
  Aborted: 0x800a,
  LimitExceeded: 0x800b,
  ShuttingDown: 0x800c,
  NotSupported: 0x800d,
  PayloadTooLarge: 0x800e,
  InvalidArgument: 0x800f,
  RoutingFailed: 0x8010,
  SequenceConflict: 0x8011,
  CursorFenced: 0x8012,
  CursorNotFound: 0x8013,
  StoreBusy: 0x8014,
  StoreFull: 0x8015,
  StoreFailed: 0x8016,
  StoreCorrupt: 0x8017,
  /** The generic one: the text is all there is. */
  ServerError: 0xffff,
} as const

/** First code of this project's own band. A peer without the `REASONS` capability gets {@link ReasonCode.ServerError} instead. */
export const EXTENSION_REASONS_START = 0x8000

const BY_CODE: Partial<Record<ErrorCode, number>> = {
  IncompleteHeader: ReasonCode.IncompleteHeader,
  TruncatedPayload: ReasonCode.TruncatedPayload,
  InvalidStream: ReasonCode.InvalidStream,
  InvalidStateTransition: ReasonCode.InvalidStateTransition,
  AuthenticationFailure: ReasonCode.AuthenticationFailure,
  VersionMismatch: ReasonCode.VersionMismatch,
  SchemaIncompatible: ReasonCode.SchemaIncompatible,
  CodecError: ReasonCode.Codec,
  FrameTooLarge: ReasonCode.Codec,
  CHANNEL_NOT_FOUND: ReasonCode.ChannelNotFound,
  CHANNEL_CLOSED: ReasonCode.ChannelClosed,
  PAYLOAD_INVALID: ReasonCode.PayloadInvalid,
  SUBSCRIPTION_SHED: ReasonCode.SubscriptionShed,
  NO_RESPONDER: ReasonCode.NoResponder,
  RESPONDER_FAILED: ReasonCode.ResponderFailed,
  PARTICIPANT_GONE: ReasonCode.ParticipantGone,
  CONVERSATION_NOT_FOUND: ReasonCode.ConversationNotFound,
  CONVERSATION_EXISTS: ReasonCode.ConversationExists,
  CONVERSATION_CLOSED: ReasonCode.ConversationClosed,
  TIMEOUT: ReasonCode.Timeout,
  ABORTED: ReasonCode.Aborted,
  LIMIT_EXCEEDED: ReasonCode.LimitExceeded,
  ROUTING_FAILED: ReasonCode.RoutingFailed,
  SHUTTING_DOWN: ReasonCode.ShuttingDown,
  NOT_SUPPORTED: ReasonCode.NotSupported,
  INVALID_ARGUMENT: ReasonCode.InvalidArgument,
  PAYLOAD_TOO_LARGE: ReasonCode.PayloadTooLarge,
  SEQUENCE_CONFLICT: ReasonCode.SequenceConflict,
  CURSOR_FENCED: ReasonCode.CursorFenced,
  CURSOR_NOT_FOUND: ReasonCode.CursorNotFound,
  STORE_BUSY: ReasonCode.StoreBusy,
  STORE_FULL: ReasonCode.StoreFull,
  STORE_FAILED: ReasonCode.StoreFailed,
  STORE_CORRUPT: ReasonCode.StoreCorrupt,
}

const BY_REASON = new Map<number, ErrorCode>()
for (const [code, reason] of Object.entries(BY_CODE)) {
  if (!BY_REASON.has(reason)) BY_REASON.set(reason, code as ErrorCode)
}

/** The reason code that names an error on the wire; {@link ReasonCode.ServerError} where there is none. */
export function reasonOf(code: ErrorCode): number {
  return BY_CODE[code] ?? ReasonCode.ServerError
}

/** The error code that a reason code of a peer stands for; `REMOTE_ERROR` where only the text tells. */
export function codeOf(reasonCode: number): ErrorCode {
  return BY_REASON.get(reasonCode) ?? 'REMOTE_ERROR'
}
