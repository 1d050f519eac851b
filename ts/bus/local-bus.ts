import { checkFunction, checkName, checkOneOf, checkOptions, checkSubject, invalidArgument } from '../arguments.ts'
import type { ChannelRegistry, DurableChannels } from '../channel/index.ts'
import {
  type ConversationCore,
  type ConversationDetails,
  type ConversationOwner,
  type ConversationRegistry,
  IsolatedResponder,
  moduleUrl,
  participantFromBehaviour,
  Work,
} from '../conversation/index.ts'
import type { Stores } from '../durability/index.ts'
import { LiminalError } from '../errors.ts'
import { decodePayload, encodePayload, ownBytes } from '../payload.ts'
import type { ProcessSystem } from '../process/index.ts'
import type { ConsumerGroup, DispatchOutcome } from '../routing/index.ts'
import { asLiminalError, toLiminalError } from '../thrown.ts'
import { MAX_TIMEOUT_MS, throwIfAborted, waitFor } from '../waiting.ts'
import type { Administration } from './administration.ts'
import { LocalAdministration } from './administration-local.ts'
import type {
  AskOptions,
  Behaviour,
  Bus,
  Channel,
  ChannelHandleOptions,
  Conversation,
  ConverseOptions,
  DispatchRequestOptions,
  IsolatedRespondOptions,
  RespondOptions,
  StreamOptions,
  TurnBehaviour,
} from './bus.ts'
import { actionOf, compensated, termsOf } from './compensation.ts'
import { type BusCore, type BusState, type CloseListener, setCore } from './core.ts'
import { dispatchWork, type GroupOptions } from './dispatch-work.ts'
import { Grace } from './grace.ts'
import { LocalChannel } from './local-channel.ts'
import { checkOpen, checkSize, closedError, type LocalContext } from './local-context.ts'
import { causalOf, LocalConversation, requestReply, streamParts } from './local-conversation.ts'
import { LocalDurableConversation, withoutJournal } from './local-durable-conversation.ts'
import { LocalResponder } from './local-responder.ts'
import type { SubscriptionQueueLimits } from './local-sink.ts'
import { LocalWorker, type LocalWorkers } from './local-worker.ts'
import { Outcome } from './outcome.ts'
import {
  type BusCloseOptions,
  checkAskOptions,
  checkBehaviour,
  checkCloseGrace,
  checkConverseOptions,
  checkDispatchOptions,
  checkIsolatedOptions,
  checkRespondOptions,
} from './request-options.ts'
import { ThreadResponder } from './thread-responder.ts'
import { nextTurn, spendTurn } from './turn.ts'
import { checkWorkerOptions, type WorkerOptions, type WorkerRegistry, type WorkHandler } from './worker.ts'

/** Milliseconds that a server may take beyond its grace. */
const LAST_BYTES_MS = 1_000

/** Who asks once has nobody to tell: the reply says it all. */
const NOBODY: ConversationOwner = { ended: () => {} }

/** What a dispatch says that the end of the bus has ended. */
function asClosed(error: unknown): unknown {
  if (!(error instanceof LiminalError)) return error
  const { code, cause } = error
  const isEnded = code === 'SHUTTING_DOWN' || asLiminalError(cause)?.code === 'CLOSED'
  return isEnded ? closedError(error) : error
}

/** What a bus in this process is put together from. */
export interface LocalBusParts {
  readonly channels: ChannelRegistry
  /** `null`: nothing is durable. */
  readonly durable: DurableChannels | null
  readonly stores: Stores | null
  readonly conversations: ConversationRegistry
  readonly subscriptionQueue: SubscriptionQueueLimits
  readonly maxMessageBytes: number
  /** Milliseconds of the lease of a worker's message. */
  readonly leaseMs: number
  /** Milliseconds that `close()` waits for what runs on top of the bus. */
  readonly closeGraceMs: number
}

/** The bus in this process. Made by `createBus`. */
export class LocalBus implements Bus {
  readonly #parts: LocalBusParts
  readonly #context: LocalContext
  readonly #responders = new Set<LocalResponder>()
  readonly #threads = new Set<ThreadResponder>()
  readonly #workers: LocalWorkers
  /** Registers workers, which take the messages of a task queue under leases. */
  readonly worker: WorkerRegistry
  readonly administration: Administration
  readonly #closeListeners = new Set<CloseListener>()
  /** Those that a close has called. */
  #called: readonly CloseListener[] = []
  readonly #ending = new AbortController()
  #grace: Grace | null = null
  #closing: Promise<void> | null = null
  #state: BusState = 'open'

  constructor(parts: LocalBusParts) {
    this.#parts = parts
    const state = (): BusState => this.#state
    this.administration = new LocalAdministration(parts.channels, parts.durable, () => checkOpen(this.#context))
    const core: BusCore = {
      channels: parts.channels,
      conversations: parts.conversations,
      administration: this.administration,
      get state() {
        return state()
      },
      onClose: (listener) => {
        this.#closeListeners.add(listener)
        return () => this.#closeListeners.delete(listener)
      },
    }
    const { subscriptionQueue, maxMessageBytes } = parts
    this.#context = { core, subscriptionQueue, maxMessageBytes, ending: this.#ending.signal }
    this.#workers = { conversations: parts.conversations, leaseMs: parts.leaseMs, open: new Set() }
    this.worker = { register: (registration, handler) => this.#register(registration, handler) }
    setCore(this, core)
  }

  channel<T = unknown>(name: string, options: ChannelHandleOptions = {}): Channel<T> {
    checkName('name', name)
    checkOptions('options', options)
    checkOneOf('payload', options.payload, ['json', 'bytes'])
    return new LocalChannel<T>(this.#context, name, options.payload ?? 'json')
  }

  async ask<Reply = unknown>(subject: string, request: unknown, options: AskOptions = {}): Promise<Reply> {
    checkName('subject', subject)
    checkAskOptions(options)
    checkOpen(this.#context)
    throwIfAborted(options.signal, `The request to '${subject}'`)
    const { payload: kind = 'json', onCrash } = options
    const payload = encodePayload(request, kind)
    const core = this.#parts.conversations.open(subject, NOBODY, termsOf(onCrash))
    try {
      // The type parameter is the asker's word for what replies are.
      return (await requestReply(this.#context, core, payload, options, kind)) as Reply
    } catch (error) {
      throw await compensated(onCrash, subject, request, error, this.#ending.signal)
    } finally {
      core.close()
    }
  }

  stream<Part = unknown>(subject: string, request: unknown, options: StreamOptions = {}): AsyncIterable<Part> {
    checkName('subject', subject)
    checkAskOptions(options)
    checkOpen(this.#context)
    const { onCrash } = options
    const open = (): ConversationCore => {
      checkOpen(this.#context)
      return this.#parts.conversations.open(subject, NOBODY, termsOf(onCrash))
    }
    return streamParts<Part>(this.#context, subject, request, options, onCrash, open, (core) => core.close())
  }

  async dispatch<Result = unknown>(
    subject: string,
    message: unknown,
    options: DispatchRequestOptions = {},
  ): Promise<DispatchOutcome<Result>> {
    checkName('subject', subject)
    checkDispatchOptions(options)
    checkOpen(this.#context)
    const { payload: kind = 'json', causal, ...terms } = options
    // Owned: it may be delivered more than once, and the caller may change what it passed.
    const payload = ownBytes(encodePayload(message, kind))
    checkSize(this.#context, payload.length)
    const work = new Work(payload, causalOf(causal))
    let outcome: DispatchOutcome<Uint8Array>
    try {
      outcome = await dispatchWork(this.#parts.conversations, subject, work, terms)
    } catch (error) {
      throw this.#state === 'open' ? error : asClosed(error)
    }
    if (spendTurn(1)) await nextTurn()
    // The type parameter is the caller's word for what results are.
    return { ...outcome, value: decodePayload(outcome.value, kind) as Result }
  }

  /**
   * The consumer group of a subject: everybody who answers it here or over a connection, with their live state. Routing is chosen by the first call, and changed by `deploy`.
   * It stays until the bus is closed. One that only {@link dispatch} uses is forgotten when nobody answers the subject and nothing waits.
   *
   * @throws LiminalError `INVALID_ARGUMENT`, also for options where the group is there already; `LIMIT_EXCEEDED`; `CLOSED`.
   */
  group(subject: string, options?: GroupOptions): ConsumerGroup<Work, Uint8Array> {
    checkName('subject', subject)
    checkOptions('options', options)
    checkOpen(this.#context)
    return this.#parts.conversations.group(subject, options)
  }

  /** The live conversations of this bus, those over connections included, oldest first. Reads every one: for people. */
  conversations(): ConversationDetails[] {
    return this.#parts.conversations.list()
  }

  /** The live conversation with this id, `null` if there is none. @throws LiminalError `INVALID_ARGUMENT` for what is no id. */
  conversation(id: bigint): ConversationDetails | null {
    if (typeof id !== 'bigint') throw invalidArgument('id', 'a bigint', id)
    return this.#parts.conversations.get(id)?.details ?? null
  }

  /** The processes of this bus: channels, sessions, conversations, responders. What is killed here ends as if it had crashed. */
  get processes(): ProcessSystem {
    return this.#parts.conversations.processes
  }

  async converse(subject: string, options: ConverseOptions = {}): Promise<Conversation> {
    checkName('subject', subject)
    checkConverseOptions(options)
    checkOpen(this.#context)
    throwIfAborted(options.signal, `Opening a conversation with '${subject}'`)
    if (options.durable === true) return await this.#converseDurably(subject, options)
    const { payload = 'json', onCrash, deadlineMs, idleTimeoutMs, causal } = options
    const over = new Outcome()
    const owner: ConversationOwner = {
      ended: (error) => (error === null ? over.resolve() : over.reject(error)),
    }
    const core = this.#parts.conversations.open(subject, owner, {
      onCrash: actionOf(onCrash),
      deadlineMs,
      idleTimeoutMs,
      causal: causal === undefined ? undefined : causalOf(causal),
    })
    return new LocalConversation(this.#context, core, payload, onCrash, over)
  }

  async #converseDurably(subject: string, options: ConverseOptions): Promise<LocalDurableConversation> {
    const { payload = 'json', onCrash = 'route-to-next', deadlineMs, idleTimeoutMs, causal, key } = options
    const { durable } = this.#parts.conversations
    if (durable === null) throw withoutJournal(subject)
    const opening = durable.open(subject, {
      key,
      onCrash: actionOf(onCrash),
      deadlineMs,
      idleTimeoutMs,
      causal: causal === undefined ? undefined : causalOf(causal),
    })
    const { timeoutMs, signal } = options
    const conversation = await waitFor(opening, { timeoutMs, signal, what: `Opening a conversation with '${subject}'` })
    return new LocalDurableConversation(this.#context, conversation, payload, onCrash)
  }

  respond<Request = unknown>(
    subject: string,
    behaviour: Behaviour<Request> | TurnBehaviour<Request>,
    options?: RespondOptions,
  ): LocalResponder
  respond(subject: string, module: URL, options: IsolatedRespondOptions): ThreadResponder
  respond<Request = unknown>(
    subject: string,
    behaviour: Behaviour<Request> | TurnBehaviour<Request> | URL,
    options: RespondOptions | IsolatedRespondOptions = {},
  ): LocalResponder | ThreadResponder {
    checkSubject('subject', subject)
    if (behaviour instanceof URL) return this.#respondIsolated(subject, behaviour, options)
    checkBehaviour(behaviour)
    checkRespondOptions(options)
    checkOpen(this.#context)
    const { payload = 'json', capacity, tags }: RespondOptions = options
    const source = participantFromBehaviour(behaviour, payload, { capacity, tags })
    const registration = this.#parts.conversations.register(subject, source)
    return new LocalResponder(subject, registration, options.signal, this.#responders)
  }

  #respondIsolated(subject: string, module: URL, options: RespondOptions | IsolatedRespondOptions): ThreadResponder {
    const isolation = checkIsolatedOptions(options)
    const url = moduleUrl(module)
    checkOpen(this.#context)
    const { payload = 'json', signal } = options
    const { conversations } = this.#parts
    const responder = new ThreadResponder(subject, signal, this.#threads)
    responder.begin(() => new IsolatedResponder(conversations, subject, url, payload, isolation, responder))
    return responder
  }

  #register<Message>(options: WorkerOptions, handler: WorkHandler<Message>): LocalWorker {
    const settings = checkWorkerOptions(options)
    checkFunction('handler', handler)
    checkOpen(this.#context)
    // The handler's type parameter is its word for what the work is.
    return new LocalWorker(this.#workers, settings, (work, context) => handler(work as Message, context))
  }

  /** Where it stands. */
  get state(): BusState {
    return this.#state
  }

  /**
   * Ends everything: servers of this bus first, each as `Server.close` does. Then what is underway in this process has what is left of the grace; with the end of it handlers are
   * aborted by their signals, and who waits gets `CLOSED`. While that lasts new work is refused with `SHUTTING_DOWN`. Always settles. Idempotent: the first call's grace
   * holds, unless a later one gives a shorter one.
   *
   * @throws LiminalError `INVALID_ARGUMENT`; what went wrong with a server, once all else is closed.
   */
  async close(options: BusCloseOptions = {}): Promise<void> {
    const graceMs = checkCloseGrace(options)
    if (this.#closing === null) this.#closing = this.#close(graceMs)
    else if (graceMs !== undefined) this.#hurry(graceMs)
    await this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(graceMs: number | undefined): Promise<void> {
    const isGentle = (graceMs ?? 0) > 0 || this.#closeListeners.size > 0
    this.#state = isGentle ? 'draining' : 'aborting'
    const grace = new Grace(graceMs ?? 0)
    this.#grace = grace
    let failure = await this.#closeWhatRunsOnTop(graceMs)
    await Promise.race([this.#parts.conversations.settled(), grace.over])
    grace.stop()
    this.#state = 'aborting'
    const error = closedError()
    for (const worker of [...this.#workers.open]) await worker.close()
    for (const responder of [...this.#responders]) await responder.close()
    // They end when what they are at is done, which is ended here.
    const threads = [...this.#threads].map((responder) => responder.close())
    this.#parts.conversations.closeAll(error)
    this.#ending.abort(error)
    await Promise.all(threads)
    // Whatever cannot be written any more, the files are let go of.
    const attempt = async (step: () => Promise<void> | undefined): Promise<void> => {
      try {
        await step()
      } catch (thrown) {
        failure ??= toLiminalError(thrown)
      }
    }
    const { channels, conversations, durable, stores } = this.#parts
    await attempt(() => conversations.durable?.close())
    // What was published is stored and told before its subscriptions and its publishers are gone.
    await attempt(() => durable?.idle())
    channels.closeAll(error)
    await attempt(() => durable?.close(error))
    channels.claims.close()
    await attempt(() => stores?.close())
    this.#state = 'closed'
    if (failure !== null) throw failure
  }

  /** Somebody who waits already is in a hurry. */
  #hurry(graceMs: number): void {
    if (this.#state !== 'draining') return
    this.#grace?.shorten(graceMs)
    // What comes of it is what the first call waits for.
    for (const listener of this.#called) void (async () => listener(graceMs))().catch(() => {})
  }

  /** Servers first: their sessions finish what they have while the bus still works. Returns what went wrong with that. */
  async #closeWhatRunsOnTop(graceMs: number | undefined): Promise<LiminalError | null> {
    const listeners = [...this.#closeListeners]
    this.#closeListeners.clear()
    this.#called = listeners
    if (listeners.length === 0) return null
    const closing = Promise.allSettled(listeners.map(async (listener) => listener(graceMs)))
    // A server that is given longer than that has it, and a moment for its last bytes.
    const timeoutMs = Math.min(Math.max(this.#parts.closeGraceMs, (graceMs ?? 0) + LAST_BYTES_MS), MAX_TIMEOUT_MS)
    try {
      const what = 'Closing the servers of the bus'
      for (const result of await waitFor(closing, { timeoutMs, what })) {
        if (result.status === 'rejected') throw result.reason
      }
      return null
    } catch (error) {
      return (
        asLiminalError(error) ??
        new LiminalError('INTERNAL', 'The bus is closed, but a server of it could not be closed.', { cause: error })
      )
    }
  }
}
