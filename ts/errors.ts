/**
 * One hierarchy for everything that can go wrong. Branch on {@link LiminalError.code}: codes are stable, messages are not.
 */

/** What every failure is called. Names in PascalCase come from the wire (spec wire §6), the rest are the bus's own. */
export type ErrorCode = keyof typeof CODES

/**
 * Every code, and whether trying the same call again can help without changing it.
 * `retryable` says nothing about whether the first attempt had an effect; where that is unknown the message says so.
 */
const CODES = {
  // The wire (ProtocolError).
  IncompleteHeader: false,
  TruncatedPayload: false,
  InvalidStream: false,
  InvalidStateTransition: false,
  AuthenticationFailure: false,
  VersionMismatch: false,
  SchemaIncompatible: false,
  CodecError: false,
  FrameTooLarge: false,
  // The caller.
  INVALID_ARGUMENT: false,
  CODEC_UNAVAILABLE: false,
  // Channels.
  CHANNEL_NOT_FOUND: false,
  CHANNEL_CLOSED: false,
  CHANNEL_EXISTS: false,
  PAYLOAD_INVALID: false,
  PAYLOAD_TOO_LARGE: false,
  SCHEMA_INVALID: false,
  SUBSCRIPTION_SHED: true,
  OUTBOX_FULL: true,
  // Durability.
  SEQUENCE_CONFLICT: false,
  CURSOR_FENCED: false,
  CURSOR_NOT_FOUND: false,
  STORE_BUSY: true,
  STORE_FULL: true,
  STORE_FAILED: true,
  STORE_LOCKED: true,
  STORE_CORRUPT: false,
  // Conversations.
  NO_RESPONDER: true,
  RESPONDER_FAILED: false,
  PARTICIPANT_GONE: true,
  CONVERSATION_NOT_FOUND: false,
  CONVERSATION_EXISTS: false,
  CONVERSATION_CLOSED: false,
  // Processes.
  PROCESS_GONE: false,
  MAILBOX_FULL: true,
  RESTARTS_EXCEEDED: false,
  // Routing.
  ROUTING_FAILED: false,
  SAGA_FAILED: false,
  // Waiting.
  TIMEOUT: true,
  ABORTED: false,
  // Connections and servers.
  CONNECTION_FAILED: true,
  CONNECTION_LOST: true,
  LIMIT_EXCEEDED: true,
  SHUTTING_DOWN: true,
  CLOSED: false,
  LISTEN_FAILED: false,
  NOT_SUPPORTED: false,
  REMOTE_ERROR: false,
  INTERNAL: false,
} as const satisfies Record<string, boolean>

/** Whether a text is one of the codes. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(CODES, text)
}

/** What an error carries beside its message. */
export interface LiminalErrorOptions {
  /** What led to this error. */
  cause?: unknown
  /** Overrides the default of the code. */
  retryable?: boolean
}

const BRAND = Symbol.for('liminal-bus.error')

/**
 * The base of every error that this package throws or rejects with.
 *
 * `instanceof LiminalError` also holds for an error of a second copy of the package in the same process.
 */
export class LiminalError extends Error {
  /** Stable name of the failure, the one thing to branch on. */
  readonly code: ErrorCode
  /** Whether the same call may succeed later without being changed. */
  readonly retryable: boolean

  constructor(code: ErrorCode, message: string, options: LiminalErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? CODES[code]
    Object.defineProperty(this, BRAND, { value: true })
  }

  override get name(): string {
    return 'LiminalError'
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    // A Proxy may refuse to say what it is: it is none of ours then.
    try {
      // A subclass inherits this method; only the base may answer for foreign copies.
      if (this !== LiminalError) return Function.prototype[Symbol.hasInstance].call(this, value)
      return typeof value === 'object' && value !== null && BRAND in value
    } catch {
      return false
    }
  }
}

/** Bytes, a negotiation or a sequence of frames that break the protocol (spec wire §6). */
export class ProtocolError extends LiminalError {
  /** The u16 that names this failure in an error frame. */
  readonly reasonCode: number

  constructor(code: ErrorCode, reasonCode: number, message: string, options: LiminalErrorOptions = {}) {
    super(code, message, options)
    this.reasonCode = reasonCode
  }

  override get name(): string {
    return 'ProtocolError'
  }
}
