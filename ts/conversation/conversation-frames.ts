import type { Codec } from '../codec/index.ts'
import type { Encoded } from '../payload-text.ts'
import { type Outbox, PreparedHead, setTarget } from '../pressure/index.ts'
import { type CausalContext, HEADER_BYTES, NO_CAUSE, REPLY_REQUESTED, SCHEMA_ID_BYTES } from '../protocol/index.ts'

/** Subjects whose opens are kept ready. */
const KEPT_SUBJECTS = 256
/** Bytes of a ConversationMessage frame with neither payload nor causal context. */
const EMPTY_MESSAGE_BYTES = HEADER_BYTES + 8 + 4 + SCHEMA_ID_BYTES + 4 + 2 + 4

/** Bytes of a ConversationMessage frame without its payload. */
export function messageHeadBytes(causal: CausalContext | null): number {
  return EMPTY_MESSAGE_BYTES + causalBytes(causal)
}

/** Bytes of a ConversationOpen frame. */
export function openBytes(subject: string): number {
  return HEADER_BYTES + 8 + 4 + Buffer.byteLength(subject)
}

/** Bytes of a causal context beyond an empty one. */
export function causalBytes(causal: CausalContext | null): number {
  if (causal === null) return 0
  const parent = causal.parentId === null ? 0 : 4 + Buffer.byteLength(causal.parentId)
  return parent + (causal.vectorClockEntry === null ? 0 : 8)
}

/** Writes the frames of conversations from prepared bytes. One for all connections: nothing in it belongs to any. Ids up to 2^53 may be numbers. */
export class ConversationFrames {
  readonly #codec: Codec
  readonly #opens = new Map<string, Uint8Array>()
  readonly #close: Uint8Array
  readonly #request: PreparedHead
  readonly #message: PreparedHead

  constructor(codec: Codec) {
    this.#codec = codec
    this.#close = codec.encode({
      type: 'ConversationClose',
      flags: 0,
      streamId: 1,
      conversationId: 0n,
      reasonCode: null,
      message: null,
    })
    this.#request = PreparedHead.message(codec, REPLY_REQUESTED, NO_CAUSE)
    this.#message = PreparedHead.message(codec, 0, NO_CAUSE)
  }

  /** Bytes of a ConversationClose frame without a reason. */
  get closeBytes(): number {
    return this.#close.length
  }

  open(outbox: Outbox, stream: number, conversationId: number | bigint, subject: string, flags: number): void {
    this.#write(outbox, this.#openOf(subject), stream, conversationId, flags)
  }

  close(outbox: Outbox, stream: number, conversationId: number | bigint, flags: number): void {
    this.#write(outbox, this.#close, stream, conversationId, flags)
  }

  /** A message that wants a reply, or is one. */
  request(outbox: Outbox, stream: number, id: number | bigint, causal: CausalContext | null, payload: Encoded): void {
    this.#send(outbox, this.#request, REPLY_REQUESTED, stream, id, causal, payload)
  }

  /** A message that wants no reply. */
  message(outbox: Outbox, stream: number, id: number | bigint, causal: CausalContext | null, payload: Encoded): void {
    this.#send(outbox, this.#message, 0, stream, id, causal, payload)
  }

  #send(
    outbox: Outbox,
    prepared: PreparedHead,
    flags: number,
    stream: number,
    id: number | bigint,
    causal: CausalContext | null,
    payload: Encoded,
  ): void {
    const head = causal === null || isEmpty(causal) ? prepared : PreparedHead.message(this.#codec, flags, causal)
    head.setTarget(stream, id)
    head.write(outbox, payload)
  }

  #write(outbox: Outbox, frame: Uint8Array, stream: number, conversationId: number | bigint, flags: number): void {
    frame[1] = flags
    setTarget(frame, stream, conversationId)
    outbox.append(frame)
  }

  #openOf(subject: string): Uint8Array {
    const kept = this.#opens.get(subject)
    if (kept !== undefined) return kept
    const open = this.#codec.encode({ type: 'ConversationOpen', flags: 0, streamId: 1, conversationId: 0n, subject })
    if (this.#opens.size === KEPT_SUBJECTS) this.#opens.clear()
    this.#opens.set(subject, open)
    return open
  }
}

function isEmpty({ parentId, vectorClockEntry }: CausalContext): boolean {
  return parentId === null && vectorClockEntry === null
}
