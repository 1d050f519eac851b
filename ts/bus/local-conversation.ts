import { checkCausal, checkOneOf, checkOptions } from '../arguments.ts'
import type { ConversationCore } from '../conversation/index.ts'
import { decodePayload, encodePayload, type PayloadKind } from '../payload.ts'
import { type CausalContext, NO_CAUSE } from '../protocol/index.ts'
import { checkWait } from '../waiting.ts'
import type { AskOptions, Conversation, ConverseOptions } from './bus.ts'
import { checkSize, type LocalContext } from './local-context.ts'
import type { Outcome } from './outcome.ts'

/** Milliseconds that a request waits for its reply, unless told otherwise. */
const DEFAULT_REPLY_TIMEOUT_MS = 5_000

/** Checks the options of a request. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkAskOptions(options: AskOptions): void {
  checkOptions('options', options)
  checkWait(options)
  checkCausal('causal', options.causal)
  checkOneOf('payload', options.payload, ['json', 'bytes'])
}

/** Checks the options of `converse`. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkConverseOptions(options: ConverseOptions): void {
  checkOptions('options', options)
  checkWait(options)
  checkOneOf('payload', options.payload, ['json', 'bytes'])
}

/** One request and its reply, as values. */
export async function requestReply(
  context: LocalContext,
  core: ConversationCore,
  payload: Uint8Array,
  options: AskOptions,
  kind: PayloadKind,
): Promise<unknown> {
  checkSize(context, payload.length)
  const { timeoutMs = DEFAULT_REPLY_TIMEOUT_MS, signal } = options
  // What the behaviour sees is not the asker's own object.
  const causal = options.causal === undefined ? NO_CAUSE : causalCopy(options.causal)
  return decodePayload(await core.request(payload, causal, { timeoutMs, signal }), kind)
}

function causalCopy({ parentId, vectorClockEntry }: CausalContext): CausalContext {
  return { parentId, vectorClockEntry }
}

/** A conversation on a bus in this process. */
export class LocalConversation implements Conversation {
  readonly id: bigint
  readonly subject: string
  readonly #context: LocalContext
  readonly #core: ConversationCore
  readonly #payload: PayloadKind
  readonly #over: Outcome

  constructor(context: LocalContext, core: ConversationCore, payload: PayloadKind, over: Outcome) {
    this.id = core.id
    this.subject = core.subject
    this.#context = context
    this.#core = core
    this.#payload = payload
    this.#over = over
  }

  get closed(): Promise<void> {
    return this.#over.watch()
  }

  async request<Reply = unknown>(value: unknown, options: AskOptions = {}): Promise<Reply> {
    checkAskOptions(options)
    const kind = options.payload ?? this.#payload
    const reply = await requestReply(this.#context, this.#core, encodePayload(value, kind), options, kind)
    // The type parameter is the asker's word for what replies are.
    return reply as Reply
  }

  send(value: unknown): void {
    const payload = encodePayload(value, this.#payload)
    checkSize(this.#context, payload.length)
    this.#core.send(payload, NO_CAUSE)
  }

  async close(): Promise<void> {
    this.#core.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
