import { createHash } from 'node:crypto'
import { checkBoolean, checkCodec, checkOptions, invalidArgument } from '../arguments.ts'
import { type Codec, codec as chosenCodec } from '../codec/index.ts'
import { ConversationFrames } from '../conversation/index.ts'
import { DEFAULT_PORT } from '../protocol/index.ts'
import { MAX_TIMEOUT_MS } from '../waiting.ts'
import { resolveLimits, type ServerLimits } from './limits.ts'
import { type ResolvedWorkerPolicy, resolveWorkerPolicy, type WorkerPolicy } from './worker-options.ts'

export interface ServerOptions {
  /** TCP port, 0 to 65,535. Default 7777; 0 lets the system choose one, see `Server.address`. */
  port?: number
  /** Address or host name to listen on. Default `'127.0.0.1'`: this machine only. */
  host?: string
  /** What a peer must present in Connect, byte for byte; a string stands for its UTF-8. Default: none, the server is open. Never empty. */
  authToken?: string | Uint8Array
  /**
   * Whether subscribers get Deliver frames. Default true. `false` serves clients of liminal 0.2.1, which take any unexpected frame for the answer to their
   * last request: their subscriptions count as reached and nothing is sent; neither are keepalive pings to peers without extensions (design §5.4).
   */
  deliver?: boolean
  /** See {@link ServerLimits} for each limit and its default. */
  limits?: Partial<ServerLimits>
  /** Milliseconds within which a connection must have finished its handshake. Default 5,000. */
  handshakeTimeoutMs?: number
  /**
   * Milliseconds of silence after which a peer is pinged; after twice that without a byte it is disconnected. Default 30,000; 0 leaves both out.
   */
  keepaliveMs?: number
  /**
   * Milliseconds after which a request of a peer without extensions fails with `TIMEOUT`. Default 5,000 (spec server §7.5). Other peers set their own
   * deadline, up to ten minutes.
   */
  replyTimeoutMs?: number
  /** What is done about workers, see {@link WorkerPolicy}. */
  workers?: WorkerPolicy
  /** Whether clients may look at channels and cursors, purge logs and move cursors, see `Bus.administration`. Default true: who is let in may. */
  administration?: boolean
  /** The codec to use. Default: the one that the package chose, see `codecInfo()`. */
  codec?: Codec
}

/** The options that {@link serve} knows. */
export const SERVER_OPTIONS: readonly string[] = Object.keys({
  port: true,
  host: true,
  authToken: true,
  deliver: true,
  limits: true,
  handshakeTimeoutMs: true,
  keepaliveMs: true,
  replyTimeoutMs: true,
  workers: true,
  administration: true,
  codec: true,
} satisfies Record<keyof ServerOptions, true>)

/** The options with every default filled in. */
export interface ResolvedOptions {
  readonly port: number
  readonly host: string
  /** SHA-256 of the token, or `null` for an open server. */
  readonly authDigest: Buffer | null
  readonly deliver: boolean
  readonly limits: ServerLimits
  readonly handshakeTimeoutMs: number
  readonly keepaliveMs: number
  readonly replyTimeoutMs: number
  readonly workers: ResolvedWorkerPolicy
  readonly administration: boolean
  readonly codec: Codec
  /** The frames of conversations, prepared by that codec. */
  readonly frames: ConversationFrames
}

/** @throws LiminalError `INVALID_ARGUMENT` that names the option. */
export function resolveOptions(options: ServerOptions): ResolvedOptions {
  checkOptions('options', options)
  checkCodec('codec', options.codec)
  checkBoolean('deliver', options.deliver)
  checkBoolean('administration', options.administration)
  const codec = options.codec ?? chosenCodec
  return {
    port: integer('port', options.port ?? DEFAULT_PORT, 0, 65_535),
    host: hostOf(options.host ?? '127.0.0.1'),
    authDigest: options.authToken === undefined ? null : digestOf(options.authToken),
    deliver: options.deliver ?? true,
    limits: resolveLimits(options.limits),
    handshakeTimeoutMs: integer('handshakeTimeoutMs', options.handshakeTimeoutMs ?? 5_000, 1, MAX_TIMEOUT_MS),
    keepaliveMs: integer('keepaliveMs', options.keepaliveMs ?? 30_000, 0, MAX_TIMEOUT_MS),
    replyTimeoutMs: integer('replyTimeoutMs', options.replyTimeoutMs ?? 5_000, 1, MAX_TIMEOUT_MS),
    workers: resolveWorkerPolicy(options.workers),
    administration: options.administration ?? true,
    codec,
    frames: new ConversationFrames(codec),
  }
}

/** @throws LiminalError `INVALID_ARGUMENT` unless `value` is an integer from `least` to `most`. */
export function integer(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw invalidArgument(name, `an integer from ${least} to ${most}`, value)
}

function hostOf(host: string): string {
  if (typeof host === 'string' && host !== '') return host
  throw invalidArgument('host', 'an address or a host name, such as 127.0.0.1', host)
}

function digestOf(token: string | Uint8Array): Buffer {
  const usable = (typeof token === 'string' || token instanceof Uint8Array) && token.length > 0
  // The value itself stays out of the message: it may be most of a secret.
  if (!usable)
    throw invalidArgument('authToken', 'text or bytes, and not empty; leave it out for an open server', typeof token)
  return createHash('sha256').update(token).digest()
}
