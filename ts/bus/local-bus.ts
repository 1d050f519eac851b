import { checkFunction, checkName, checkOneOf, checkOptions } from '../arguments.ts'
import type { ChannelRegistry } from '../channel/index.ts'
import { type ConversationRegistry, participantFromBehaviour } from '../conversation/index.ts'
import { LiminalError } from '../errors.ts'
import { encodePayload } from '../payload.ts'
import { checkSignal, throwIfAborted, waitFor } from '../waiting.ts'
import type {
  AskOptions,
  Behaviour,
  Bus,
  Channel,
  ChannelHandleOptions,
  Conversation,
  ConverseOptions,
  Responder,
  RespondOptions,
} from './bus.ts'
import { type BusCore, setCore } from './core.ts'
import { LocalChannel } from './local-channel.ts'
import { checkOpen, closedError, type LocalContext } from './local-context.ts'
import { checkAskOptions, checkConverseOptions, LocalConversation, requestReply } from './local-conversation.ts'
import { LocalResponder } from './local-responder.ts'
import type { SubscriptionQueueLimits } from './local-sink.ts'
import { Outcome } from './outcome.ts'

/** What a bus in this process is put together from. */
export interface LocalBusParts {
  readonly channels: ChannelRegistry
  readonly conversations: ConversationRegistry
  readonly subscriptionQueue: SubscriptionQueueLimits
  readonly maxMessageBytes: number
  /** Milliseconds that `close()` waits for what runs on top of the bus. */
  readonly closeGraceMs: number
}

/** The bus in this process. Made by `createBus`. */
export class LocalBus implements Bus {
  readonly #parts: LocalBusParts
  readonly #context: LocalContext
  readonly #responders = new Set<LocalResponder>()
  readonly #closeListeners = new Set<() => void | Promise<void>>()
  #closing: Promise<void> | null = null
  #closed = false

  constructor(parts: LocalBusParts) {
    this.#parts = parts
    const isClosed = (): boolean => this.#closed
    const core: BusCore = {
      channels: parts.channels,
      conversations: parts.conversations,
      get closed() {
        return isClosed()
      },
      onClose: (listener) => {
        this.#closeListeners.add(listener)
        return () => this.#closeListeners.delete(listener)
      },
    }
    this.#context = { core, subscriptionQueue: parts.subscriptionQueue, maxMessageBytes: parts.maxMessageBytes }
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
    const kind = options.payload ?? 'json'
    const payload = encodePayload(request, kind)
    const core = this.#parts.conversations.open(subject, { ended: () => {} })
    try {
      // The type parameter is the asker's word for what replies are.
      return (await requestReply(this.#context, core, payload, options, kind)) as Reply
    } finally {
      core.close()
    }
  }

  async converse(subject: string, options: ConverseOptions = {}): Promise<Conversation> {
    checkName('subject', subject)
    checkConverseOptions(options)
    checkOpen(this.#context)
    throwIfAborted(options.signal, `Opening a conversation with '${subject}'`)
    const over = new Outcome()
    const core = this.#parts.conversations.open(subject, {
      ended: (error) => (error === null ? over.resolve() : over.reject(error)),
    })
    return new LocalConversation(this.#context, core, options.payload ?? 'json', over)
  }

  respond<Request = unknown>(subject: string, behaviour: Behaviour<Request>, options: RespondOptions = {}): Responder {
    checkName('subject', subject)
    checkFunction('behaviour', behaviour)
    checkOptions('options', options)
    checkOneOf('payload', options.payload, ['json', 'bytes'])
    checkSignal(options.signal)
    checkOpen(this.#context)
    const source = participantFromBehaviour(behaviour, options.payload ?? 'json')
    const registration = this.#parts.conversations.register(subject, source)
    return new LocalResponder(subject, registration, options.signal, this.#responders)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#closed = true
    const failure = await this.#closeWhatRunsOnTop()
    const error = closedError()
    for (const responder of [...this.#responders]) await responder.close()
    this.#parts.conversations.closeAll(error)
    this.#parts.channels.closeAll(error)
    if (failure !== null) throw failure
  }

  /** Servers first: their sessions finish what they have while the bus still works. Returns what went wrong with that. */
  async #closeWhatRunsOnTop(): Promise<LiminalError | null> {
    const listeners = [...this.#closeListeners]
    this.#closeListeners.clear()
    if (listeners.length === 0) return null
    const closing = Promise.allSettled(listeners.map(async (listener) => listener()))
    try {
      const what = 'Closing the servers of the bus'
      for (const result of await waitFor(closing, { timeoutMs: this.#parts.closeGraceMs, what })) {
        if (result.status === 'rejected') throw result.reason
      }
      return null
    } catch (error) {
      if (error instanceof LiminalError) return error
      return new LiminalError('INTERNAL', 'The bus is closed, but a server of it could not be closed.', {
        cause: error,
      })
    }
  }
}
