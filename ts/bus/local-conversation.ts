import type { ConversationCore, Exchange } from '../conversation/index.ts'
import { decodePayload, encodePayload, ownBytes, type PayloadKind } from '../payload.ts'
import { type CausalContext, NO_CAUSE } from '../protocol/index.ts'
import type { AskOptions, Conversation, ConversationRequestOptions, StreamOptions } from './bus.ts'
import { type CrashPolicy, compensated } from './compensation.ts'
import { checkSize, type LocalContext } from './local-context.ts'
import type { Outcome } from './outcome.ts'
import { DEFAULT_PART_TIMEOUT_MS, Parts } from './parts.ts'
import { checkAskOptions, checkCloseReason, checkOverride, checkPlainRequestOptions } from './request-options.ts'
import { nextTurn, spendTurn } from './turn.ts'

/** Milliseconds that a request waits for its reply, unless told otherwise. */
const DEFAULT_REPLY_TIMEOUT_MS = 5_000

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
  const reply = await core.request(payload, causalOf(options.causal), { timeoutMs, signal })
  // Whoever asks in a loop is answered by promises alone, which never let timers and sockets have their turn.
  if (spendTurn(1)) await nextTurn()
  return decodePayload(reply, kind)
}

/** What the behaviour sees is not the asker's own object. */
export function causalOf(causal: CausalContext | undefined): CausalContext {
  if (causal === undefined) return NO_CAUSE
  return { parentId: causal.parentId, vectorClockEntry: causal.vectorClockEntry }
}

/**
 * One request whose reply comes in parts.
 *
 * @param open opens the conversation when the loop begins. @param over is called when the loop ends.
 */
export function streamParts<Part>(
  context: LocalContext,
  subject: string,
  request: unknown,
  options: StreamOptions,
  policy: CrashPolicy | undefined,
  open: () => ConversationCore,
  over: (core: ConversationCore) => void,
): Parts<Part> {
  const { payload: kind = 'json', timeoutMs = DEFAULT_PART_TIMEOUT_MS, signal } = options
  // The loop may begin when its bytes are others already.
  const payload = ownBytes(encodePayload(request, kind))
  checkSize(context, payload.length)
  const causal = causalOf(options.causal)
  return new Parts<Part>({
    what: `The request to '${subject}'`,
    payload: kind,
    timeoutMs,
    signal,
    begin: (sink) => {
      const core = open()
      let exchange: Exchange
      try {
        exchange = core.ask(
          payload,
          causal,
          null,
          {
            part: (part) => sink.push(ownBytes(part)),
            replied: (last) => {
              sink.end(last === null ? null : ownBytes(last))
              over(core)
            },
            failed: (error) => {
              sink.fail(error)
              over(core)
            },
          },
          { inParts: true },
        )
      } catch (error) {
        over(core)
        throw error
      }
      return { taken: (count) => exchange.take(count), stop: (error) => exchange.abandon(error) }
    },
    failed: (error) => compensated(policy, subject, request, error, context.ending),
  })
}

/** A conversation on a bus in this process. */
export class LocalConversation implements Conversation {
  readonly id: bigint
  readonly subject: string
  readonly key = null
  readonly #context: LocalContext
  readonly #core: ConversationCore
  readonly #payload: PayloadKind
  readonly #policy: CrashPolicy | undefined
  readonly #over: Outcome

  constructor(
    context: LocalContext,
    core: ConversationCore,
    payload: PayloadKind,
    policy: CrashPolicy | undefined,
    over: Outcome,
  ) {
    this.id = core.id
    this.subject = core.subject
    this.#context = context
    this.#core = core
    this.#payload = payload
    this.#policy = policy
    this.#over = over
  }

  get closed(): Promise<void> {
    return this.#over.watch()
  }

  async request<Reply = unknown>(value: unknown, options: ConversationRequestOptions = {}): Promise<Reply> {
    checkPlainRequestOptions(options)
    checkOverride(options.onCrash, this.#policy)
    const kind = options.payload ?? this.#payload
    // What a conversation that is over refuses, nobody has begun.
    const policy = this.#core.isOpen ? (options.onCrash ?? this.#policy) : undefined
    try {
      const reply = await requestReply(this.#context, this.#core, encodePayload(value, kind), options, kind)
      // The type parameter is the asker's word for what replies are.
      return reply as Reply
    } catch (error) {
      throw await compensated(policy, this.subject, value, error, this.#context.ending)
    }
  }

  send(value: unknown): void {
    const payload = encodePayload(value, this.#payload)
    checkSize(this.#context, payload.length)
    this.#core.send(payload, NO_CAUSE)
  }

  stream<Part = unknown>(value: unknown, options: Omit<StreamOptions, 'onCrash'> = {}): AsyncIterable<Part> {
    checkAskOptions(options)
    const settings = { payload: this.#payload, ...options }
    const open = (): ConversationCore => this.#core
    return streamParts<Part>(this.#context, this.subject, value, settings, this.#policy, open, () => {})
  }

  async close(reason?: string): Promise<void> {
    checkCloseReason(reason)
    this.#core.close(undefined, reason)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
