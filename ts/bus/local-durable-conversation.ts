import type { DurableConversation } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import { decodePayload, encodePayload, type PayloadKind } from '../payload.ts'
import { NO_CAUSE } from '../protocol/index.ts'
import { throwIfAborted } from '../waiting.ts'
import type { Conversation, ConversationRequestOptions } from './bus.ts'
import { type CrashPolicy, compensated } from './compensation.ts'
import { checkSize, type LocalContext } from './local-context.ts'
import { causalOf } from './local-conversation.ts'
import { checkCloseReason, checkConversationRequestOptions, checkOverride } from './request-options.ts'
import { nextTurn, spendTurn } from './turn.ts'

/** Milliseconds that a request waits for its reply, unless told otherwise. */
const DEFAULT_REPLY_TIMEOUT_MS = 5_000

/** A handle on a durable conversation of a bus in this process. There may be several on one. */
export class LocalDurableConversation implements Conversation {
  readonly id: bigint
  readonly subject: string
  readonly key: string
  readonly #context: LocalContext
  readonly #conversation: DurableConversation
  readonly #payload: PayloadKind
  readonly #policy: CrashPolicy

  constructor(context: LocalContext, conversation: DurableConversation, payload: PayloadKind, policy: CrashPolicy) {
    this.id = conversation.id
    this.subject = conversation.subject
    this.key = conversation.key
    this.#context = context
    this.#conversation = conversation
    this.#payload = payload
    this.#policy = policy
  }

  get closed(): Promise<void> {
    return this.#conversation.closed.promise
  }

  async request<Reply = unknown>(value: unknown, options: ConversationRequestOptions = {}): Promise<Reply> {
    checkConversationRequestOptions(options)
    checkOverride(options.onCrash, this.#policy)
    const { timeoutMs = DEFAULT_REPLY_TIMEOUT_MS, signal, requestId = null } = options
    throwIfAborted(signal, `The request to '${this.subject}'`)
    const kind = options.payload ?? this.#payload
    const payload = encodePayload(value, kind)
    checkSize(this.#context, payload.length)
    // What a conversation that is over refuses, nobody has begun.
    const policy = this.#conversation.isOpen ? (options.onCrash ?? this.#policy) : undefined
    let reply: Uint8Array
    try {
      const causal = causalOf(options.causal)
      reply = await this.#conversation.request(requestId, payload, causal, { timeoutMs, signal })
    } catch (error) {
      throw await compensated(policy, this.subject, value, error, this.#context.ending)
    }
    if (spendTurn(1)) await nextTurn()
    // The type parameter is the asker's word for what replies are.
    return decodePayload(reply, kind) as Reply
  }

  send(value: unknown): void {
    const payload = encodePayload(value, this.#payload)
    checkSize(this.#context, payload.length)
    this.#conversation.send(payload, NO_CAUSE)
  }

  stream<Part = unknown>(): AsyncIterable<Part> {
    throw partsNotRecorded(this.subject)
  }

  async close(reason?: string): Promise<void> {
    checkCloseReason(reason)
    await this.#conversation.close(reason ?? null)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** The error of a stream in a durable conversation. */
export function partsNotRecorded(subject: string): LiminalError {
  const message = `The conversation with '${subject}' is durable, and parts of a reply are not recorded. Ask with request(), or stream() on the bus.`
  return new LiminalError('NOT_SUPPORTED', message)
}

/** The error of a durable conversation on a bus that has nowhere to keep it. */
export function withoutJournal(subject: string): LiminalError {
  const message = `The conversation with '${subject}' cannot be durable: this bus has nowhere to store it. Give createBus a dataDir.`
  return new LiminalError('NOT_SUPPORTED', message)
}
