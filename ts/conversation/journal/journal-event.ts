import { type ErrorCode, isErrorCode } from '../../errors.ts'
import type { CausalContext } from '../../protocol/index.ts'
import type { ConversationEvent } from '../conversation-history.ts'
import type { CrashAction } from '../conversation-terms.ts'

/** What every event says of when it happened: milliseconds since the epoch. */
interface Dated {
  readonly at: number
}

/** What an event about one request says beside. */
interface OfRequest extends Dated {
  /** The id of the request, unique in its conversation. */
  readonly request: string
}

/** An error as it is written down. */
export interface RecordedError {
  readonly code: ErrorCode
  readonly message: string
}

/** A conversation began. Always the first event. */
export interface Opened extends Dated {
  readonly is: 'opened'
  readonly subject: string
  readonly key: string
  /** Random: what tells it from one that had the same key before. */
  readonly instance: string
  readonly onCrash: CrashAction
  /** Times that one request is begun, at most. */
  readonly maxAttempts: number
  /** When it fails at the latest, in milliseconds since the epoch; `null` if never. */
  readonly deadline: number | null
  readonly idleTimeoutMs: number | null
  readonly causal: CausalContext | null
}

/** A request was taken in. */
export interface Requested extends OfRequest {
  readonly is: 'request'
  /** Whether somebody wants the reply. */
  readonly replyRequested: boolean
  readonly causal: CausalContext
  /** Whether it is handed to a responder right after this: that is its first attempt then. */
  readonly isBegun: boolean
  readonly payload: Uint8Array
}

/** A request is handed to a responder right after this. */
export interface Attempted extends OfRequest {
  readonly is: 'attempt'
  /** From 1, across restarts. */
  readonly attempt: number
}

/** A step has its output. */
export interface StepCompleted extends OfRequest {
  readonly is: 'step'
  readonly step: string
  /** Which of the steps with this name, from 0. */
  readonly ordinal: number
  /** JSON text; empty for `undefined`. */
  readonly output: Uint8Array
}

/** A step threw. It is to be run again if it is asked for again. */
export interface StepFailed extends OfRequest {
  readonly is: 'step-failed'
  readonly step: string
  readonly ordinal: number
  /** How often it has, this time included. */
  readonly failures: number
  readonly message: string
}

/** A request was answered. */
export interface Replied extends OfRequest {
  readonly is: 'reply'
  readonly reply: Uint8Array
}

/** A request failed, which is an answer too. */
export interface Failed extends OfRequest {
  readonly is: 'error'
  readonly error: RecordedError
}

/** The conversation is over, and with it whatever is not answered. Nothing follows. */
export interface Closed extends Dated {
  readonly is: 'closed'
  /** What it failed with; `null` if it was closed. */
  readonly error: RecordedError | null
  /** What was said to the close. */
  readonly reason: string | null
}

/** In snapshots only: what happened before, contents apart. */
export interface Remembered extends Dated {
  readonly is: 'remembered'
  readonly history: readonly ConversationEvent[]
}

/** One thing that happened in a durable conversation, as its journal has it (spec durability §10). */
export type JournalEvent =
  | Opened
  | Requested
  | Attempted
  | StepCompleted
  | StepFailed
  | Replied
  | Failed
  | Closed
  | Remembered

const VERSION = 1
/** The byte of a kind is its place here, from 1: only ever append. */
const KINDS = ['opened', 'request', 'attempt', 'step', 'step-failed', 'reply', 'error', 'closed', 'remembered'] as const
const HEAD_BYTES = 6
const HISTORY = [
  'joined',
  'request',
  'message',
  'reply',
  'failed',
  'left',
  'crashed',
  'handed-back',
  'rerouted',
] as const
const NOTHING = new Uint8Array(0)
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The bytes of an event: u8 version, u8 kind, u32 length of the fields, the fields as JSON text, the content as it is. */
export function encodeJournalEvent(event: JournalEvent): Uint8Array {
  const { is, ...all } = event
  const content = contentOf(event)
  const fields = Buffer.from(JSON.stringify(all, replacer))
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + fields.length + content.length)
  bytes[0] = VERSION
  bytes[1] = KINDS.indexOf(is) + 1
  bytes.writeUInt32BE(fields.length, 2)
  bytes.set(fields, HEAD_BYTES)
  bytes.set(content, HEAD_BYTES + fields.length)
  return bytes
}

function contentOf(event: JournalEvent): Uint8Array {
  if (event.is === 'request') return event.payload
  if (event.is === 'step') return event.output
  return event.is === 'reply' ? event.reply : NOTHING
}

/** Contents stand behind the fields, and a u64 is no JSON number. */
function replacer(_key: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return undefined
  return typeof value === 'bigint' ? value.toString() : value
}

/** What keeps a record from being an event: the end of a sentence. */
export class UnreadableEvent extends Error {}

/** @throws UnreadableEvent for what is no event, or one of a version that is not known here. */
export function decodeJournalEvent(bytes: Uint8Array): JournalEvent {
  if (bytes.length < HEAD_BYTES) throw new UnreadableEvent(`it has ${bytes.length} bytes`)
  if (bytes[0] !== VERSION) throw new UnreadableEvent(`it has version ${bytes[0]}, and ${VERSION} is known here`)
  const kind = KINDS[bytes[1] - 1]
  if (kind === undefined) throw new UnreadableEvent(`it is of kind ${bytes[1]}, which is not known here`)
  const end = HEAD_BYTES + new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(2)
  if (end > bytes.length) throw new UnreadableEvent('its fields reach past its end')
  let parsed: unknown
  try {
    parsed = JSON.parse(utf8.decode(bytes.subarray(HEAD_BYTES, end)))
  } catch {
    throw new UnreadableEvent('its fields are not JSON')
  }
  const event = read(kind, new Fields(parsed), bytes.subarray(end))
  const content = contentOf(event)
  if (content.length !== bytes.length - end) throw new UnreadableEvent('it has a content, and none belongs there')
  return event
}

function read(is: JournalEvent['is'], fields: Fields, content: Uint8Array): JournalEvent {
  const at = fields.number('at')
  switch (is) {
    case 'opened':
      return {
        is,
        at,
        subject: fields.text('subject'),
        key: fields.text('key'),
        instance: fields.text('instance'),
        onCrash: fields.one('onCrash', ['fail', 'route-to-next']),
        maxAttempts: fields.count('maxAttempts', 1),
        deadline: fields.orNull('deadline', (name) => fields.number(name)),
        idleTimeoutMs: fields.orNull('idleTimeoutMs', (name) => fields.number(name)),
        causal: fields.orNull('causal', (name) => fields.causal(name)),
      }
    case 'request':
      return {
        is,
        at,
        request: fields.text('request'),
        replyRequested: fields.flag('replyRequested'),
        causal: fields.causal('causal'),
        isBegun: fields.flag('isBegun'),
        payload: content,
      }
    case 'attempt':
      return { is, at, request: fields.text('request'), attempt: fields.count('attempt', 1) }
    case 'step':
      return { is, at, ...stepOf(fields), output: content }
    case 'step-failed':
      return { is, at, ...stepOf(fields), failures: fields.count('failures', 1), message: fields.text('message') }
    case 'reply':
      return { is, at, request: fields.text('request'), reply: content }
    case 'error':
      return { is, at, request: fields.text('request'), error: fields.error('error') }
    case 'closed':
      return {
        is,
        at,
        error: fields.orNull('error', (name) => fields.error(name)),
        reason: fields.orNull('reason', (name) => fields.text(name)),
      }
    case 'remembered':
      return { is, at, history: fields.list('history', eventOf) }
  }
}

function stepOf(fields: Fields): { request: string; step: string; ordinal: number } {
  return { request: fields.text('request'), step: fields.text('step'), ordinal: fields.count('ordinal', 0) }
}

function eventOf(fields: Fields): ConversationEvent {
  return { at: fields.number('at'), is: fields.one('is', HISTORY), attempt: fields.count('attempt', 0) }
}

/** The fields of an event, each of which has to be what it should. */
class Fields {
  readonly #fields: Readonly<Record<string, unknown>>

  constructor(value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new UnreadableEvent('its fields are no object')
    }
    this.#fields = value as Readonly<Record<string, unknown>>
  }

  text(name: string): string {
    const value = this.#get(name)
    return typeof value === 'string' ? value : this.#wrong(name)
  }

  number(name: string): number {
    const value = this.#get(name)
    return typeof value === 'number' ? value : this.#wrong(name)
  }

  count(name: string, least: number): number {
    const value = this.number(name)
    return Number.isSafeInteger(value) && value >= least ? value : this.#wrong(name)
  }

  flag(name: string): boolean {
    const value = this.#get(name)
    return typeof value === 'boolean' ? value : this.#wrong(name)
  }

  one<Value extends string>(name: string, values: readonly Value[]): Value {
    const value = this.#get(name)
    return values.find((candidate) => candidate === value) ?? this.#wrong(name)
  }

  causal(name: string): CausalContext {
    const fields = new Fields(this.#get(name))
    return {
      parentId: fields.orNull('parentId', (member) => fields.text(member)),
      vectorClockEntry: fields.orNull('vectorClockEntry', (member) => fields.decimal(member)),
    }
  }

  decimal(name: string): bigint {
    const value = this.text(name)
    return /^\d{1,20}$/.test(value) ? BigInt(value) : this.#wrong(name)
  }

  error(name: string): RecordedError {
    const fields = new Fields(this.#get(name))
    const code = fields.text('code')
    return isErrorCode(code) ? { code, message: fields.text('message') } : this.#wrong(name)
  }

  list<Value>(name: string, read: (fields: Fields) => Value): Value[] {
    const value = this.#get(name)
    return Array.isArray(value) ? value.map((member) => read(new Fields(member))) : this.#wrong(name)
  }

  orNull<Value>(name: string, read: (name: string) => Value): Value | null {
    return this.#get(name) === null ? null : read(name)
  }

  #get(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined
  }

  #wrong(name: string): never {
    throw new UnreadableEvent(`its '${name}' is missing or of the wrong kind`)
  }
}
