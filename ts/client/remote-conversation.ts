import { checkOptions } from '../arguments.ts'
import type { AskOptions, Conversation } from '../bus/index.ts'
import type { PayloadKind } from '../payload.ts'
import { encodeValue } from '../payload-text.ts'
import { toLiminalError } from '../thrown.ts'
import { checkWait, throwIfAborted, waitFor } from '../waiting.ts'
import { type ClientCore, DEFAULT_REPLY_TIMEOUT_MS } from './client-core.ts'
import type { ConversationLink } from './conversation-link.ts'
import { ConversationRequest } from './conversation-request.ts'

/** A conversation of a remote bus. */
export class RemoteConversation implements Conversation {
  readonly id: bigint
  readonly subject: string
  readonly #core: ClientCore
  readonly #link: ConversationLink
  readonly #payload: PayloadKind

  constructor(core: ClientCore, link: ConversationLink, payload: PayloadKind) {
    this.#core = core
    this.#link = link
    this.#payload = payload
    this.id = link.id
    this.subject = link.subject
  }

  get closed(): Promise<void> {
    return this.#link.closed.promise
  }

  async request<Reply = unknown>(value: unknown, options: AskOptions = {}): Promise<Reply> {
    checkOptions('options', options)
    checkWait(options)
    const { timeoutMs = DEFAULT_REPLY_TIMEOUT_MS, signal, causal = null, payload = this.#payload } = options
    const what = `The request to '${this.subject}'`
    throwIfAborted(signal, what)
    const encoded = encodeValue(value, payload)
    // Read first: it throws once the conversation is over.
    void this.#link.connection
    let request: ConversationRequest | undefined
    const reply = new Promise<unknown>((resolve, reject) => {
      const question = { subject: this.#link.subject, payload: encoded, kind: payload, causal }
      request = new ConversationRequest(this.#core, this.#link, question, resolve, reject)
      this.#core.submit(request)
    })
    try {
      // The type parameter is the caller's word for what the reply is.
      return (await waitFor(reply, { timeoutMs, signal, what })) as Reply
    } catch (thrown) {
      const error = toLiminalError(thrown)
      request?.abandon(error)
      throw error
    }
  }

  send(value: unknown): void {
    this.#link.send(encodeValue(value, this.#payload))
  }

  close(): Promise<void> {
    return this.#link.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
