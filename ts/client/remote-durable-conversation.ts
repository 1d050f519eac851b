import { randomUUID } from 'node:crypto'
import {
  type Conversation,
  type ConversationRequestOptions,
  type CrashPolicy,
  checkCloseReason,
  checkConversationRequestOptions,
  checkOverride,
  partsNotRecorded,
} from '../bus/index.ts'
import { saySendFailed } from '../conversation/index.ts'
import { encodePayload, ownBytes, type PayloadKind } from '../payload.ts'
import { toLiminalError } from '../thrown.ts'
import { throwIfAborted } from '../waiting.ts'
import { awaitReply } from './awaited.ts'
import { type ClientCore, DEFAULT_REPLY_TIMEOUT_MS } from './client-core.ts'
import type { DurableLink } from './durable-link.ts'
import { DurableRequest } from './durable-request.ts'

/** A handle on a durable conversation of a remote bus. */
export class RemoteDurableConversation implements Conversation {
  readonly subject: string
  readonly key: string
  readonly #core: ClientCore
  readonly #link: DurableLink
  readonly #payload: PayloadKind
  readonly #policy: CrashPolicy

  constructor(core: ClientCore, link: DurableLink, payload: PayloadKind, policy: CrashPolicy) {
    this.#core = core
    this.#link = link
    this.#payload = payload
    this.#policy = policy
    this.subject = link.subject
    this.key = link.key
  }

  /** That on the connection that there is; its key is what lasts. */
  get id(): bigint {
    return this.#link.id
  }

  get closed(): Promise<void> {
    return this.#link.closed.promise
  }

  async request<Reply = unknown>(value: unknown, options: ConversationRequestOptions = {}): Promise<Reply> {
    checkConversationRequestOptions(options)
    checkOverride(options.onCrash, this.#policy)
    const { timeoutMs = DEFAULT_REPLY_TIMEOUT_MS, signal, causal = null, payload: kind = this.#payload } = options
    const { requestId = randomUUID() } = options
    const what = `The request to '${this.subject}'`
    throwIfAborted(signal, what)
    const payload = ownBytes(encodePayload(value, kind))
    const policy = options.onCrash ?? this.#policy
    const awaited = { subject: this.subject, value, policy, limits: { timeoutMs, signal, what } }
    // The type parameter is the caller's word for what the reply is.
    return (await awaitReply(this.#core, awaited, (resolve, reject) => {
      const question = { requestId, payload, kind, causal }
      const request = new DurableRequest(this.#core, this.#link, question, resolve, reject)
      this.#link.ask(request)
      return request
    })) as Reply
  }

  /** Asked like a request, so that it is known to be recorded; nobody waits for what becomes of it. */
  send(value: unknown): void {
    const payload = ownBytes(encodePayload(value, this.#payload))
    const question = { requestId: randomUUID(), payload, kind: 'bytes', causal: null } as const
    const failed = (error: unknown): void => saySendFailed(this.subject, this.id, toLiminalError(error))
    this.#link.ask(new DurableRequest(this.#core, this.#link, question, () => {}, failed))
  }

  stream<Part = unknown>(): AsyncIterable<Part> {
    throw partsNotRecorded(this.subject)
  }

  async close(reason?: string): Promise<void> {
    checkCloseReason(reason)
    await this.#link.close(reason ?? null)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
