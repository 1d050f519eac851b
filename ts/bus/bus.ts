import type { Behaviour, IsolationOptions, TurnBehaviour } from '../conversation/index.ts'
import type { PayloadKind } from '../payload.ts'
import type { CausalContext } from '../protocol/index.ts'
import type { DispatchOptions, DispatchOutcome } from '../routing/index.ts'
import type { Administration } from './administration.ts'
import type { CrashPolicy } from './compensation.ts'
import type { DeliveryHandler, SubscribeOptions, Subscription } from './subscription.ts'
import type { WorkerRegistry } from './worker.ts'

/**
 * The bus as its users see it. {@link createBus} gives one in the process, `connect` one behind a server; both behave alike and pass the
 * same conformance suite.
 */
export interface Bus extends AsyncDisposable {
  /**
   * A handle on a channel. Costs nothing and checks nothing but its arguments: the channel itself is looked up (or created, where the bus
   * allows that) by the first publish or subscribe.
   *
   * @throws LiminalError `INVALID_ARGUMENT` if the name is empty.
   */
  channel<T = unknown>(name: string, options?: ChannelHandleOptions): Channel<T>

  /**
   * Asks whoever answers `subject` and resolves with the reply.
   *
   * @throws LiminalError `NO_RESPONDER`; `TIMEOUT` after `timeoutMs`; `RESPONDER_FAILED` if the behaviour threw; `PARTICIPANT_GONE` if the responder
   * died; `ABORTED`; on a remote bus also `CONNECTION_LOST` (whether the request was processed is unknown).
   */
  ask<Reply = unknown>(subject: string, request: unknown, options?: AskOptions): Promise<Reply>

  /**
   * Asks whoever answers `subject` and gives the reply in parts, in order, as they come: at most 64 ahead of the loop. A responder that answers with one value gives that
   * one. Leaving the loop tells the responder that nobody wants the rest. The request goes out with the first step of the loop.
   *
   * The iterator throws what {@link ask} throws. A request whose parts have begun to come is never re-run.
   */
  stream<Part = unknown>(subject: string, request: unknown, options?: StreamOptions): AsyncIterable<Part>

  /**
   * Gives a message to the consumer group of `subject`: everybody who answers it, each with a capacity, chosen by the group's routing function. Waits while none has room,
   * goes on to another one if the chosen one crashes or hands it back, and tells how it went.
   *
   * @throws DispatchError with what was tried: `NO_RESPONDER`, `TIMEOUT`, `ABORTED`, `LIMIT_EXCEEDED`, `PARTICIPANT_GONE`, `RESPONDER_FAILED`, `ROUTING_FAILED`, `SHUTTING_DOWN`;
   * LiminalError `CLOSED`, `PAYLOAD_INVALID`; on a remote bus also `CONNECTION_LOST`.
   */
  dispatch<Result = unknown>(
    subject: string,
    message: unknown,
    options?: DispatchRequestOptions,
  ): Promise<DispatchOutcome<Result>>

  /** Opens a conversation of several turns with whoever answers `subject`. @throws LiminalError `NO_RESPONDER`, `ABORTED`, `TIMEOUT`. */
  converse(subject: string, options?: ConverseOptions): Promise<Conversation>

  /**
   * Answers a subject until the returned responder (or the bus) is closed. Several responders of one subject take turns.
   * The registration of a remote bus is repeated after every reconnect.
   *
   * @throws LiminalError `INVALID_ARGUMENT`, `CLOSED`.
   */
  respond<Request = unknown>(
    subject: string,
    behaviour: Behaviour<Request> | TurnBehaviour<Request>,
    options?: RespondOptions,
  ): Responder
  /**
   * Answers a subject in worker threads: a loop, a crash or too little memory there is contained, and the thread is replaced. What it was at crashes with it.
   *
   * @param module a file whose default export is a behaviour. Its `context` is a copy with a `signal` and a `step`; requests and replies are copied too.
   * @throws LiminalError `INVALID_ARGUMENT`, `CLOSED`; `NOT_SUPPORTED` on a remote bus.
   */
  respond(subject: string, module: URL, options: IsolatedRespondOptions): Responder

  /** Looks at channels and cursors, and sets them right. */
  readonly administration: Administration

  /** Registers workers: each takes the messages of a task queue, which is a subject, with a capacity and a lease for each message. */
  readonly worker: WorkerRegistry

  /** Ends everything that this bus holds: subscriptions end, responders are withdrawn, pending calls fail with `CLOSED`. Idempotent. */
  close(): Promise<void>
}

export type { PayloadKind } from '../payload.ts'

export interface ChannelHandleOptions {
  /** Default `'json'`. With `'bytes'`, `T` must be `Uint8Array`. */
  payload?: PayloadKind
}

/** A named stream of messages, and the contract on what they look like. */
export interface Channel<T = unknown> {
  readonly name: string

  /**
   * Publishes and resolves with what happened. Awaiting it is the throttle: it resolves late while subscribers are behind. A publish that is known to have happened
   * always resolves with its receipt: in process `timeoutMs` and `signal` only cut that wait short.
   *
   * @throws LiminalError `CHANNEL_NOT_FOUND`, `CHANNEL_CLOSED`, `PAYLOAD_INVALID` (the schema refused it, or it has no JSON form), `PAYLOAD_TOO_LARGE`, `OUTBOX_FULL`, `TIMEOUT`,
   * `ABORTED`, `CONNECTION_LOST`, `CLOSED`.
   */
  publish(value: T, options?: PublishOptions): Promise<Receipt>

  /**
   * Publishes without an acknowledgement and without a promise. What could not be delivered afterwards is counted in {@link sendCounts}.
   *
   * @throws LiminalError `OUTBOX_FULL` when too much is underway (nothing was sent; await {@link ready}), `PAYLOAD_INVALID` (it has no JSON form),
   * `PAYLOAD_TOO_LARGE`, `CLOSED`. What the channel refuses, by its schema too, is counted.
   */
  send(value: T, options?: SendOptions): void

  /** Resolves once `send` has room again; at once if it has. */
  ready(options?: WaitOptions): Promise<void>

  /** What became of the calls of {@link send} on this handle. */
  readonly sendCounts: SendCounts

  /**
   * Subscribes. Deliveries come from the async iterator, at most `maxInFlight` beyond those accepted. What prevents the subscription is said by `ready()`, `closed` and the
   * iterator. One loop at a time may iterate it; a second one throws `INVALID_ARGUMENT`.
   *
   * @throws LiminalError `INVALID_ARGUMENT`, `CLOSED`.
   */
  subscribe(options?: SubscribeOptions): Subscription<T>
  /**
   * Subscribes with a handler that gets deliveries in batches, in order, without a promise each: the fast path. A handler that returns a promise
   * gets the next batch when it settled. A batch is accepted when the handler is done; one that throws ends the subscription with its error.
   */
  subscribe(handler: DeliveryHandler<T>, options?: SubscribeOptions): Subscription<T>
}

export interface WaitOptions {
  /** Milliseconds until `TIMEOUT`. Default: no limit, unless the method says otherwise. */
  timeoutMs?: number
  /** Ends the wait with `ABORTED`, its `cause` the signal's reason. */
  signal?: AbortSignal
}

export interface SendOptions {
  /** What caused this message. Default: nothing said. */
  causal?: CausalContext
  /**
   * Messages with the same key on the same channel within the window (2 minutes by default) have one effect; of those that are repeated, `publish` gets the receipt of the first, marked
   * `duplicate`, and `send` nothing.
   */
  idempotencyKey?: string
}

export interface PublishOptions extends WaitOptions, SendOptions {}

/** What happened to a publish. */
export interface Receipt {
  /** Unique on the bus, also across its restarts, and rising in publish order. `0n` for a duplicate whose original retention or a purge has removed: its position is still known. */
  readonly messageId: bigint
  /**
   * Where the message is in the log of a durable channel, from 0 and without gaps: it is on disk, as far as the channel's `sync` says. `null` for a channel that is not durable, and from a
   * server that does not say.
   */
  readonly position: bigint | null
  /** Whether at least one subscriber was reached. */
  readonly delivered: boolean
  /** How many subscribers were reached; `null` where the wire only says yes or no, and for a duplicate whose original was published before the bus crashed. */
  readonly deliveredTo: number | null
  /** Whether the idempotency key was seen before: nothing was delivered now, all else is said of the original. */
  readonly duplicate: boolean
}

export interface SendCounts {
  /** Accepted by `send`. */
  readonly sent: number
  /** Refused later by the bus, or lost with a connection. */
  readonly failed: number
  /** Why, the last time. */
  readonly lastError: Error | null
}

export interface AskOptions extends WaitOptions {
  /** Default 5,000; on a remote bus the default is kept by a coarse clock and comes up to 700 ms late, never early. A timeout of its own is exact. */
  timeoutMs?: number
  causal?: CausalContext
  /** Default `'json'`, for the request and the reply. */
  payload?: PayloadKind
  /** What happens if the participant crashes. Default `'fail'`; for a request of a conversation what the conversation says. */
  onCrash?: CrashPolicy
}

export interface ConversationRequestOptions extends AskOptions {
  /**
   * What this request is called in a durable conversation: 1 to 255 UTF-8 bytes without control characters. One that was used before asks nothing anew: it gets what became of that request, also
   * after a restart. Default: a random one. `INVALID_ARGUMENT` where the conversation is not durable.
   */
  requestId?: string
}

export interface StreamOptions extends WaitOptions {
  /** Milliseconds that the loop waits for the next part at most, until `TIMEOUT`. Default 30,000. */
  timeoutMs?: number
  causal?: CausalContext
  /** Default `'json'`, for the request and the parts. */
  payload?: PayloadKind
  /** What happens if the participant crashes before the first part. Default `'fail'`. */
  onCrash?: CrashPolicy
}

export interface DispatchRequestOptions extends DispatchOptions {
  readonly causal?: CausalContext
  /** Default `'json'`, for the message and the result. */
  readonly payload?: PayloadKind
}

/** How a conversation is held. */
export interface ConverseOptions extends WaitOptions {
  /** Default `'json'`. */
  payload?: PayloadKind
  /** What happens to requests whose participant crashes. Default `'fail'`: they fail, and the conversation with them. Of a durable one: `'route-to-next'`. */
  onCrash?: CrashPolicy
  /** Milliseconds after which the conversation fails with `TIMEOUT`, whatever is underway. Default: never. */
  deadlineMs?: number
  /** Milliseconds without a message or a reply after which it fails with `TIMEOUT`. Default: never. */
  idleTimeoutMs?: number
  /** What caused the conversation: its messages say this unless they say something themselves. */
  causal?: CausalContext
  /**
   * Keeps a journal of the conversation, so that it survives the process of its bus: what was asked is asked again, steps that were completed are not run again, and whoever opens the same `key`
   * on the same subject again goes on with it. Needs a `dataDir`; `NOT_SUPPORTED` without. Default `false`.
   */
  durable?: boolean
  /** What a durable conversation is called: 1 to 255 UTF-8 bytes without control characters. Default: a random one, see {@link Conversation.key}. */
  key?: string
}

/** An exchange with one responder, over any number of messages. */
export interface Conversation extends AsyncDisposable {
  readonly id: bigint
  readonly subject: string
  /** What a durable conversation is called; `null` for one that is not. */
  readonly key: string | null
  /**
   * Sends a message and waits for its own reply. Many may be underway; a late reply never answers another request. In a durable conversation the limits end the wait and not the request, which goes
   * on until it is answered or the conversation is over: ask again with the same `requestId` for its reply.
   */
  request<Reply = unknown>(value: unknown, options?: ConversationRequestOptions): Promise<Reply>
  /** Sends a message that wants no reply. @throws LiminalError `CONVERSATION_CLOSED`. */
  send(value: unknown): void
  /** Sends a message and takes its reply in parts, see {@link Bus.stream}. */
  stream<Part = unknown>(value: unknown, options?: Omit<StreamOptions, 'onCrash'>): AsyncIterable<Part>
  /** Settles when it is over: resolves after a `close` from either side, rejects with the error that ended it (`PARTICIPANT_GONE` ...). */
  readonly closed: Promise<void>
  /** Ends it. @param reason for people, said to the other side: at most 1,024 characters. */
  close(reason?: string): Promise<void>
}

export type {
  Behaviour,
  BehaviourContext,
  ConversationContext,
  IsolationOptions,
  StepContext,
  StepFunction,
  TurnBehaviour,
} from '../conversation/index.ts'

export interface RespondOptions {
  /** Default `'json'`, for requests and replies. */
  payload?: PayloadKind
  /**
   * Dispatched messages that it takes at once, at least 1; what is asked of it directly is not counted. Default 64, which over a
   * connection is all that can be: `NOT_SUPPORTED`, while a worker says how much it takes.
   */
  capacity?: number
  /** What routing functions may choose by. At most 64. Default: none. Over a connection: `NOT_SUPPORTED`. */
  tags?: readonly string[]
  /** Withdraws the responder, like `close()`. */
  signal?: AbortSignal
}

/** How a behaviour in worker threads is registered. */
export interface IsolatedRespondOptions {
  /** `true` for the defaults. */
  isolated: true | IsolationOptions
  /** Default `'json'`, for requests and replies. */
  payload?: PayloadKind
  /** Withdraws the responder, like `close()`. */
  signal?: AbortSignal
}

/** A registration to answer a subject. */
export interface Responder extends AsyncDisposable {
  readonly subject: string
  /** Resolves once requests can reach it. */
  ready(): Promise<void>
  /**
   * Withdraws it, and resolves when no request can reach it any more. Requests underway are finished, but not beyond the end of the bus: with `graceMs` it waits for
   * the conversations that the responder is in before it resolves.
   *
   * @throws LiminalError `INVALID_ARGUMENT`.
   */
  close(options?: ResponderCloseOptions): Promise<void>
}

/** How a responder is closed. */
export interface ResponderCloseOptions {
  /** Milliseconds that the close waits for what is underway, which goes on afterwards. Default: 0; for one in threads its own `closeGraceMs`, after which it is ended. */
  readonly graceMs?: number | undefined
}
