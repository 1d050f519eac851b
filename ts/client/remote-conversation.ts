import {
  type Conversation,
  type ConversationRequestOptions,
  type CrashPolicy,
  checkAskOptions,
  checkCloseReason,
  checkOverride,
  checkPlainRequestOptions,
  type StreamOptions,
} from '../bus/index.ts'
import type { PayloadKind } from '../payload.ts'
import { encodeValue } from '../payload-text.ts'
import { throwIfAborted } from '../waiting.ts'
import { awaitReply } from './awaited.ts'
import { type ClientCore, DEFAULT_REPLY_TIMEOUT_MS } from './client-core.ts'
import type { ConversationLink } from './conversation-link.ts'
import { ConversationRequest } from './conversation-request.ts'
import { streamParts } from './stream-parts.ts'

/** A conversation of a remote bus. */
export class RemoteConversation implements Conversation {
  readonly id: bigint
  readonly subject: string
  readonly key = null
  readonly #core: ClientCore
  readonly #link: ConversationLink
  readonly #payload: PayloadKind
  readonly #policy: CrashPolicy | undefined

  constructor(core: ClientCore, link: ConversationLink, payload: PayloadKind, policy: CrashPolicy | undefined) {
    this.#policy = policy
    this.#core = core
    this.#link = link
    this.#payload = payload
    this.id = link.id
    this.subject = link.subject
  }

  get closed(): Promise<void> {
    return this.#link.closed.promise
  }

  async request<Reply = unknown>(value: unknown, options: ConversationRequestOptions = {}): Promise<Reply> {
    checkPlainRequestOptions(options)
    checkOverride(options.onCrash, this.#policy)
    const {
      timeoutMs = DEFAULT_REPLY_TIMEOUT_MS,
      signal,
      causal = this.#link.causal,
      payload = this.#payload,
    } = options
    const what = `The request to '${this.subject}'`
    throwIfAborted(signal, what)
    const encoded = encodeValue(value, payload)
    // Read first: it throws once the conversation is over.
    void this.#link.connection
    const policy = options.onCrash ?? this.#policy
    const awaited = { subject: this.subject, value, policy, limits: { timeoutMs, signal, what } }
    // The type parameter is the caller's word for what the reply is.
    return (await awaitReply(this.#core, awaited, (resolve, reject) => {
      const question = { subject: this.#link.subject, payload: encoded, kind: payload, causal }
      const request = new ConversationRequest(this.#core, this.#link, question, resolve, reject)
      this.#core.submit(request)
      return request
    })) as Reply
  }

  send(value: unknown): void {
    this.#link.send(encodeValue(value, this.#payload))
  }

  stream<Part = unknown>(value: unknown, options: Omit<StreamOptions, 'onCrash'> = {}): AsyncIterable<Part> {
    checkAskOptions(options)
    const causal = options.causal ?? this.#link.causal ?? undefined
    const settings = { payload: this.#payload, ...options, ...(causal === undefined ? {} : { causal }) }
    return streamParts<Part>(this.#core, this.subject, value, settings, this.#policy, this.#link)
  }

  async close(reason?: string): Promise<void> {
    checkCloseReason(reason)
    await this.#link.close(reason ?? null)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
