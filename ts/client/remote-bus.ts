import { randomUUID } from 'node:crypto'
import { checkFunction, checkName, checkOneOf, checkOptions, checkSubject } from '../arguments.ts'
import {
  type Administration,
  type AskOptions,
  actionOf,
  type Behaviour,
  type Bus,
  type Channel,
  type ChannelHandleOptions,
  type Conversation,
  type ConverseOptions,
  checkAskOptions,
  checkBehaviour,
  checkConverseOptions,
  checkDispatchOptions,
  checkRespondOptions,
  checkWorkerOptions,
  type DispatchRequestOptions,
  type IsolatedRespondOptions,
  participantFromBehaviour,
  RemoteAdministration,
  type Responder,
  type RespondOptions,
  type StreamOptions,
  type TurnBehaviour,
  type Worker,
  type WorkerOptions,
  type WorkerRegistry,
  type WorkHandler,
} from '../bus/index.ts'
import { LiminalError } from '../errors.ts'
import { encodePayload, ownBytes } from '../payload.ts'
import { encodeValue } from '../payload-text.ts'
import { OPEN_REROUTE } from '../protocol/index.ts'
import type { DispatchOutcome } from '../routing/index.ts'
import { toLiminalError } from '../thrown.ts'
import { throwIfAborted, waitFor } from '../waiting.ts'
import { Ask } from './ask.ts'
import { awaitOpened, awaitReply } from './awaited.ts'
import { ChannelHandles } from './channel-handles.ts'
import { ClientCore, DEFAULT_REPLY_TIMEOUT_MS } from './client-core.ts'
import { ConversationLink } from './conversation-link.ts'
import { dial } from './dial.ts'
import { DispatchRequest } from './dispatch-request.ts'
import { DurableLink } from './durable-link.ts'
import { type ClientOptions, resolveOptions } from './options.ts'
import type { PushHandler } from './push-handlers.ts'
import { RemoteConversation } from './remote-conversation.ts'
import { RemoteDurableConversation } from './remote-durable-conversation.ts'
import { RemoteResponder } from './remote-responder.ts'
import { RemoteWorker } from './remote-worker.ts'
import { ResponderLink } from './responder-link.ts'
import type { ConnectionState, ConnectionStatus } from './status.ts'
import { streamParts } from './stream-parts.ts'
import { parseUrl } from './url.ts'
import { WorkerLink } from './worker-link.ts'

/**
 * A bus behind a server. It reconnects by itself; what becomes of that which was underway when a connection died:
 *
 * | what | becomes |
 * |---|---|
 * | `publish` written, without an idempotency key | `CONNECTION_LOST`: whether it had an effect is unknown |
 * | `publish` written, with an idempotency key | written again after the reconnect, in order, under the same key |
 * | `publish`, `ask`, `stream`, `dispatch`, `converse` not yet written | waits for the next connection, within its own time |
 * | `ask`, `stream`, `dispatch`, and everything of an open conversation that is not durable | `CONNECTION_LOST` |
 * | `send` | counted as failed as far as it is not known to have arrived; while there is no connection, `OUTBOX_FULL` |
 * | durable conversation | opened again under its key; what was asked and not answered is asked again under its id |
 * | subscription | subscribes again; sequences start at 1; what was published in between is lost; ends if the server refuses |
 * | subscription to a durable channel | goes on behind the last delivery that it handed out, and with a cursor where that is: nothing is missing |
 * | responder | registers again; behaviours running for the dead connection are aborted and their replies dropped |
 * | worker | registers again; handlers running for the dead connection are aborted, and the server gives their messages to others |
 */
export interface RemoteBus extends Bus {
  /** What the connection is at now. */
  readonly state: ConnectionState
  /** The current state, then every change, for any number of readers. Ends after `closed`. A reader 256 events behind misses the oldest. */
  status(): AsyncIterable<ConnectionStatus>
  /** Where workers are registered: the server pushes them their work (spec server §8). One at a time: a second one replaces the first. */
  readonly worker: WorkerRegistry
  /**
   * Takes what the application of the server pushes to this connection and is no work. Several handlers take turns. Where the extension `WORK` is not granted, a
   * registered worker gets such pushes too, because nothing tells them apart. Returns what takes the handler out again.
   *
   * @throws LiminalError `INVALID_ARGUMENT`, `CLOSED`.
   */
  onPush(handler: PushHandler): () => void
  /**
   * Ends everything, and always resolves, within about a second. Calls that were not yet written, subscriptions, requests and conversations end at once with `CLOSED`.
   * What workers have underway is handed back at once, and so is what the server sends to workers and responders before it knows: others get it. What a responder is at
   * fails with `PARTICIPANT_GONE`: close the responder first, with a grace, to let it finish.
   * Publishes that were written get up to 750 ms for their receipts; those still unanswered then reject with `CLOSED`: whether they happened is unknown.
   * The goodbye follows behind all that was written, in what is left of the second. Idempotent.
   */
  close(): Promise<void>
}

/**
 * Connects to a server.
 *
 * ```ts
 * const bus = await connect('liminal://127.0.0.1:7777')
 * ```
 *
 * @param url `liminal://host[:port]`, as text or as a `URL`; port 7777 by default.
 * @throws LiminalError `INVALID_ARGUMENT`; `AuthenticationFailure`, `VersionMismatch`; `ABORTED`; `CONNECTION_FAILED` for all else. Only a connection that stood
 * once is tried again.
 */
export async function connect(url: string | URL, options: ClientOptions = {}): Promise<RemoteBus> {
  const address = parseUrl(url)
  const settings = resolveOptions(options)
  const connection = await dial(address, settings, options.signal)
  const core = new ClientCore(settings)
  core.adopt(connection)
  return new ConnectedBus(core)
}

/** The remote bus around a core. Made by {@link connect}. */
export class ConnectedBus implements RemoteBus {
  readonly worker: WorkerRegistry
  readonly administration: Administration
  readonly #core: ClientCore
  readonly #handles: ChannelHandles

  constructor(core: ClientCore) {
    this.#core = core
    this.#handles = new ChannelHandles(core)
    this.worker = { register: (registration, handler) => this.#work(registration, handler) }
    this.administration = new RemoteAdministration((subject, request, limits) => this.ask(subject, request, limits))
  }

  get state(): ConnectionState {
    return this.#core.status.state
  }

  status(): AsyncIterable<ConnectionStatus> {
    return { [Symbol.asyncIterator]: () => this.#core.status.read() }
  }

  channel<T = unknown>(name: string, options: ChannelHandleOptions = {}): Channel<T> {
    checkName('name', name)
    checkOptions('options', options)
    checkOneOf('payload', options.payload, ['json', 'bytes'])
    // The type parameter is the caller's word for what the payloads are.
    return this.#handles.make(name, options.payload ?? 'json') as Channel<T>
  }

  ask<Reply = unknown>(subject: string, request: unknown, options: AskOptions = {}): Promise<Reply> {
    // What is no object is refused below.
    if (options?.timeoutMs !== undefined || options?.signal !== undefined || options?.onCrash !== undefined)
      return this.#askWithin(subject, request, options)
    return new Promise<unknown>((resolve, reject) => {
      const ask = this.#makeAsk(subject, request, options, this.#core.replyDeadline(), resolve, reject)
      this.#core.submit(ask)
      // The type parameter is the asker's word for what replies are.
    }) as Promise<Reply>
  }

  /** The rarer form: with limits that need a timer or a listener of their own. */
  async #askWithin<Reply>(subject: string, request: unknown, options: AskOptions): Promise<Reply> {
    checkName('subject', subject)
    checkAskOptions(options)
    const { timeoutMs = DEFAULT_REPLY_TIMEOUT_MS, signal } = options
    const what = `The request to '${subject}'`
    const awaited = { subject, value: request, policy: options.onCrash, limits: { timeoutMs, signal, what } }
    // The type parameter is the asker's word for what replies are.
    return (await awaitReply(this.#core, awaited, (resolve, reject) => {
      const ask = this.#makeAsk(subject, request, options, Number.POSITIVE_INFINITY, resolve, reject)
      throwIfAborted(signal, what)
      this.#core.submit(ask)
      return ask
    })) as Reply
  }

  stream<Part = unknown>(subject: string, request: unknown, options: StreamOptions = {}): AsyncIterable<Part> {
    checkName('subject', subject)
    checkAskOptions(options)
    this.#core.assertOpen(`The request to '${subject}'`)
    return streamParts<Part>(this.#core, subject, request, options, options.onCrash, null)
  }

  async dispatch<Result = unknown>(
    subject: string,
    message: unknown,
    options: DispatchRequestOptions = {},
  ): Promise<DispatchOutcome<Result>> {
    checkName('subject', subject)
    checkDispatchOptions(options)
    const { payload: kind = 'json', causal, signal, ...head } = options
    const what = `The message to group '${subject}'`
    throwIfAborted(signal, what)
    const payload = ownBytes(encodePayload(message, kind))
    let request: DispatchRequest | undefined
    const outcome = new Promise<DispatchOutcome<unknown>>((resolve, reject) => {
      request = new DispatchRequest(this.#core, { subject, payload, kind, causal, head }, resolve, reject)
      this.#core.submit(request)
    })
    try {
      // The type parameter is the caller's word for what results are.
      return (await waitFor(outcome, { timeoutMs: head.timeoutMs, signal, what })) as DispatchOutcome<Result>
    } catch (thrown) {
      // What it is given up with here it fails with, in the words of a dispatch.
      request?.abandon(toLiminalError(thrown))
      return (await outcome) as DispatchOutcome<Result>
    }
  }

  /** @throws LiminalError `INVALID_ARGUMENT`, `PAYLOAD_INVALID`, `PAYLOAD_TOO_LARGE`. */
  #makeAsk(
    subject: string,
    request: unknown,
    options: AskOptions,
    deadline: number,
    resolve: (reply: unknown) => void,
    reject: (error: LiminalError) => void,
  ): Ask {
    checkName('subject', subject)
    checkAskOptions(options)
    const { causal = null, payload: kind = 'json', onCrash } = options
    const encoded = encodeValue(request, kind)
    const reroutes = actionOf(onCrash) === 'route-to-next'
    const question = reroutes
      ? { subject, payload: encoded, kind, causal, openFlags: OPEN_REROUTE }
      : { subject, payload: encoded, kind, causal }
    return new Ask(this.#core, question, deadline, resolve, reject)
  }

  async converse(subject: string, options: ConverseOptions = {}): Promise<Conversation> {
    checkName('subject', subject)
    checkConverseOptions(options)
    const { timeoutMs = this.#core.settings.requestTimeoutMs, signal, payload = 'json' } = options
    const what = `Opening a conversation with '${subject}'`
    throwIfAborted(signal, what)
    if (options.durable === true) return await this.#converseDurably(subject, options)
    const { onCrash, deadlineMs, idleTimeoutMs, causal } = options
    const openFlags = actionOf(onCrash) === 'route-to-next' ? OPEN_REROUTE : 0
    const link = new ConversationLink(this.#core, subject, { openFlags, deadlineMs, idleTimeoutMs, causal })
    this.#core.submit(link)
    await awaitOpened(link, { timeoutMs, signal, what })
    return new RemoteConversation(this.#core, link, payload, onCrash)
  }

  async #converseDurably(subject: string, options: ConverseOptions): Promise<RemoteDurableConversation> {
    const { timeoutMs = this.#core.settings.requestTimeoutMs, signal, payload = 'json' } = options
    const { onCrash = 'route-to-next', deadlineMs, idleTimeoutMs, causal, key = randomUUID() } = options
    const what = `Opening a conversation with '${subject}'`
    this.#core.assertOpen(what)
    const link = new DurableLink(this.#core, subject, {
      key,
      onCrash: actionOf(onCrash),
      deadlineMs,
      idleTimeoutMs,
      parentId: causal?.parentId ?? undefined,
      vectorClockEntry: causal?.vectorClockEntry?.toString(),
    })
    link.begin()
    await awaitOpened(link, { timeoutMs, signal, what })
    return new RemoteDurableConversation(this.#core, link, payload, onCrash)
  }

  respond<Request = unknown>(
    subject: string,
    behaviour: Behaviour<Request> | TurnBehaviour<Request>,
    options?: RespondOptions,
  ): Responder
  respond(subject: string, module: URL, options: IsolatedRespondOptions): Responder
  respond<Request = unknown>(
    subject: string,
    behaviour: Behaviour<Request> | TurnBehaviour<Request> | URL,
    options: RespondOptions | IsolatedRespondOptions = {},
  ): Responder {
    checkSubject('subject', subject)
    if (behaviour instanceof URL) {
      const text =
        'A responder over a connection runs in this process. It is apart from its askers already: a thread of it would be a process of its own.'
      throw new LiminalError('NOT_SUPPORTED', text)
    }
    checkBehaviour(behaviour)
    checkRespondOptions(options)
    const { capacity, tags }: RespondOptions = options
    if (capacity !== undefined || tags !== undefined) {
      const text = 'A responder over a connection has neither capacity nor tags. Register a worker, which has both.'
      throw new LiminalError('NOT_SUPPORTED', text)
    }
    this.#core.assertOpen(`Responding to '${subject}'`)
    const source = participantFromBehaviour(behaviour, options.payload ?? 'json')
    const link = new ResponderLink(this.#core, subject, source)
    const responder = new RemoteResponder(link, options.signal)
    if (!options.signal?.aborted) link.register()
    return responder
  }

  onPush(handler: PushHandler): () => void {
    checkFunction('handler', handler)
    this.#core.assertOpen('Taking pushes')
    return this.#core.pushHandlers.add(handler)
  }

  #work<Work>(registration: WorkerOptions, handler: WorkHandler<Work>): Worker {
    const settings = checkWorkerOptions(registration)
    checkFunction('handler', handler)
    const { identity, taskQueue } = settings.registration
    this.#core.assertOpen(`Registering the worker '${identity}' of '${taskQueue}'`)
    // The worker's type parameter is its word for what its work is.
    const link = new WorkerLink(this.#core, settings, (work, context) => handler(work as Work, context))
    const worker = new RemoteWorker(link, settings.signal)
    if (!settings.signal?.aborted) link.register()
    return worker
  }

  close(): Promise<void> {
    return this.#core.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
