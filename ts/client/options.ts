import {
  checkBoolean,
  checkCodec,
  checkInteger,
  checkKnownOptions,
  checkOptions,
  invalidArgument,
} from '../arguments.ts'
import { type Codec, codec as chosenCodec } from '../codec/index.ts'
import { DEFAULT_MAX_FRAME_BYTES } from '../protocol/index.ts'
import { checkSignal, MAX_TIMEOUT_MS } from '../waiting.ts'

/** How often and how long a lost connection is tried again. */
export interface ReconnectOptions {
  /** Milliseconds that bound the first wait. Default 100. */
  baseMs?: number
  /** Milliseconds that bound every wait. Default 30,000. */
  maxMs?: number
  /**
   * Attempts that fail in a row before the bus gives up and is closed with `CONNECTION_FAILED`. Any connection ends the row, however short it held. Default: no
   * limit.
   */
  maxAttempts?: number
}

/** How to reach a server and what to hold back while it cannot be reached. */
export interface ClientOptions {
  /** Shown to the server in the handshake. A string is sent as UTF-8. Default: none. */
  authToken?: string | Uint8Array
  /** Milliseconds for each attempt to connect, handshake included. Default 5,000. */
  timeoutMs?: number
  /** Ends the first attempt with `ABORTED`. It has no say once `connect` has resolved. */
  signal?: AbortSignal
  /**
   * What happens when the connection is lost: by default it is tried again with exponential back-off and full jitter: each wait is drawn
   * from 0 to `baseMs` doubled with every attempt, `maxMs` at most. The waits start small again only after a connection that held for longer than the next wait
   * could be. `false` closes the bus instead.
   */
  reconnect?: false | ReconnectOptions
  /**
   * Milliseconds of silence after which the server is sent a Ping; after two such spans without a single byte the connection counts as
   * lost. Default 15,000; 0 leaves both out.
   */
  keepaliveMs?: number
  /**
   * Bytes written and not yet taken by the operating system, at most. Past it `publish` waits and `send` fails with `OUTBOX_FULL`. What waits is capped as
   * well: 65,536 calls and eight times this many bytes. Default 8 MiB.
   */
  outboxBytes?: number
  /** Milliseconds for a publish, a subscribe, an open or a registration that names no time of its own. Default 30,000. */
  requestTimeoutMs?: number
  /** Largest frame sent or taken, header included, in bytes. Default 16 MiB. */
  frameBytes?: number
  /** Default: the native codec where it loads, else the TypeScript one. */
  codec?: Codec
  /**
   * Whether to ask the server for this project's extensions (docs/protocol.md). Default true. Without them, or with a server that has none: `send` costs
   * the server an acknowledgement, errors that liminal 1.0 has no code for are `REMOTE_ERROR`, `converse` resolves before the server has agreed,
   * `respond` is `NOT_SUPPORTED`, and a subscriber that falls 64 MiB behind stops the whole connection from being read.
   */
  extensions?: boolean
}

/** {@link ReconnectOptions} with nothing left open. */
export interface Backoff {
  readonly baseMs: number
  readonly maxMs: number
  readonly maxAttempts: number
}

/** {@link ClientOptions} checked and complete. */
export interface Settings {
  readonly authToken: Uint8Array
  readonly timeoutMs: number
  /** `null`: a lost connection closes the bus. */
  readonly reconnect: Backoff | null
  readonly keepaliveMs: number
  readonly outboxBytes: number
  readonly requestTimeoutMs: number
  readonly frameBytes: number
  readonly codec: Codec
  readonly extensions: boolean
}

const CLIENT_OPTIONS = Object.keys({
  authToken: true,
  timeoutMs: true,
  signal: true,
  reconnect: true,
  keepaliveMs: true,
  outboxBytes: true,
  requestTimeoutMs: true,
  frameBytes: true,
  codec: true,
  extensions: true,
} satisfies Record<keyof ClientOptions, true>)
const RECONNECT_OPTIONS = Object.keys({
  baseMs: true,
  maxMs: true,
  maxAttempts: true,
} satisfies Record<keyof ReconnectOptions, true>)

/** A cap below this would refuse the frames of the handshake. */
const LEAST_FRAME_BYTES = 1_024

/** @throws LiminalError `INVALID_ARGUMENT` that names the option. */
export function resolveOptions(options: ClientOptions): Settings {
  checkOptions('options', options)
  checkKnownOptions('options', options, CLIENT_OPTIONS)
  checkCodec('codec', options.codec)
  checkSignal(options.signal)
  checkBoolean('extensions', options.extensions)
  checkInteger('outboxBytes', options.outboxBytes, 1)
  checkInteger('frameBytes', options.frameBytes, LEAST_FRAME_BYTES)
  return {
    authToken: tokenBytes(options.authToken ?? ''),
    timeoutMs: milliseconds('timeoutMs', options.timeoutMs ?? 5_000, 1),
    reconnect: options.reconnect === false ? null : resolveBackoff(options.reconnect ?? {}),
    keepaliveMs: milliseconds('keepaliveMs', options.keepaliveMs ?? 15_000, 0),
    outboxBytes: options.outboxBytes ?? 8 * 1024 * 1024,
    requestTimeoutMs: milliseconds('requestTimeoutMs', options.requestTimeoutMs ?? 30_000, 1),
    frameBytes: options.frameBytes ?? DEFAULT_MAX_FRAME_BYTES,
    codec: options.codec ?? chosenCodec,
    extensions: options.extensions ?? true,
  }
}

function resolveBackoff(options: ReconnectOptions): Backoff {
  checkOptions('reconnect', options)
  checkKnownOptions('reconnect', options, RECONNECT_OPTIONS)
  const { maxAttempts = Number.POSITIVE_INFINITY } = options
  if (maxAttempts !== Number.POSITIVE_INFINITY) checkInteger('reconnect.maxAttempts', maxAttempts, 1)
  return {
    baseMs: milliseconds('reconnect.baseMs', options.baseMs ?? 100, 0),
    maxMs: milliseconds('reconnect.maxMs', options.maxMs ?? 30_000, 0),
    maxAttempts,
  }
}

function tokenBytes(token: string | Uint8Array): Uint8Array {
  if (typeof token === 'string') return Buffer.from(token)
  if (token instanceof Uint8Array) return new Uint8Array(token)
  throw invalidArgument('authToken', 'a string or a Uint8Array', token)
}

function milliseconds(name: string, value: number, least: number): number {
  if (typeof value === 'number' && value >= least && value <= MAX_TIMEOUT_MS) return value
  throw invalidArgument(name, `a number of milliseconds from ${least} to ${MAX_TIMEOUT_MS}`, value)
}
