import { LiminalError } from '../errors.ts'
import { ownBytes } from '../payload.ts'
import type { ExitReason } from '../process/index.ts'
import {
  type Consumer,
  ConsumerCrashError,
  ConsumerEndedError,
  type DeliveryContext,
  type ExitListener,
  HandedBackError,
} from '../routing/index.ts'
import { asLiminalError, toLiminalError } from '../thrown.ts'
import type { ConversationCore } from './conversation-core.ts'
import type { ExchangeObserver } from './exchange.ts'
import { endedNormally } from './participant-gone.ts'
import type { SourceRegistration } from './source-registration.ts'
import type { Work } from './work.ts'

/** What the sources of a subject need as consumers. */
export interface ConsumerKeeper {
  /** Opens a conversation with this very source. @throws what keeps it from joining. */
  openWith(registration: SourceRegistration): ConversationCore
  /** A message that had been given up is over: nobody may need the group any more. */
  ceased(): void
}

/** Dispatched messages in flight to a source that says nothing. */
const DEFAULT_CAPACITY = 64

/** A source of a subject as a consumer of the subject's group: each message is a conversation of its own with it. */
export class SourceConsumer implements Consumer<Work, Uint8Array> {
  readonly id: string
  readonly capacity: number
  readonly tags: readonly string[]
  readonly #registration: SourceRegistration
  readonly #keeper: ConsumerKeeper

  constructor(registration: SourceRegistration, id: string, keeper: ConsumerKeeper) {
    const { capacity = DEFAULT_CAPACITY, tags = [] } = registration.source
    this.id = id
    this.capacity = capacity
    this.tags = tags
    this.#registration = registration
    this.#keeper = keeper
  }

  deliver(work: Work, context: DeliveryContext): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const conversation = this.#open(reject)
      if (conversation === null) return
      const { attempt, deadline, key } = context
      let isGivenUp = false
      const over = (): void => {
        conversation.close()
        // The group counts it until it has heard of the exit, or of what was settled here.
        if (isGivenUp) setImmediate(() => this.#keeper.ceased())
      }
      const observer: ExchangeObserver = {
        replied: (reply: Uint8Array | null): void => {
          resolve(ownBytes(reply ?? new Uint8Array(0)))
          over()
        },
        failed: (error: LiminalError): void => {
          // The group hears of an exit by itself, and knows what to do about it.
          if (!isExit(error, this.#registration)) reject(fateOf(error))
          over()
        },
        crashed: (error: LiminalError, reason: ExitReason): void => {
          reject(reason.is === 'normal' ? new ConsumerEndedError(error) : new ConsumerCrashError(reason.is, error))
          over()
        },
        handedBack: (error: LiminalError): void => {
          reject(undone(error))
          over()
        },
      }
      try {
        const exchange = conversation.ask(work.payload, work.causal, null, observer, { attempt, deadline, key })
        context.onAbandoned((reason) => {
          isGivenUp = true
          if (this.#registration.source.finishes === true) exchange.cancel(abandoned(reason))
          else exchange.abandon(abandoned(reason))
        })
      } catch (thrown) {
        conversation.close()
        reject(undone(thrown))
      }
    })
  }

  onExit(listener: ExitListener): () => void {
    const { process } = this.#registration
    const monitor = this.#registration.watch((exit) => listener(exit.reason, exit.at))
    return process.over === null ? () => monitor.cancel() : () => {}
  }

  #open(reject: (error: LiminalError) => void): ConversationCore | null {
    try {
      return this.#keeper.openWith(this.#registration)
    } catch (thrown) {
      reject(undone(thrown))
      return null
    }
  }
}

/**
 * Whether the error tells of the exit of the source itself. A message that was handed back, or that its participant alone is lost for, is not what that exit says, even if
 * the source is over by now: one that was withdrawn ends with its last participant.
 */
function isExit(error: LiminalError, { process }: SourceRegistration): boolean {
  return process.over !== null && error.code === 'PARTICIPANT_GONE' && error.cause === process.over.reason
}

/** What the group makes of a failure: a participant that is gone has not done it, unless it ended normally. */
function fateOf(error: LiminalError): LiminalError {
  if (error.code !== 'PARTICIPANT_GONE') return error
  return endedNormally(error) ? new ConsumerEndedError(error) : undone(error)
}

/** Somebody else may do it: nothing was sent, or whoever had it is no more. */
function undone(thrown: unknown): HandedBackError {
  const error = toLiminalError(thrown)
  if (error instanceof HandedBackError) return error
  return new HandedBackError(error.message, { cause: error })
}

function abandoned(reason: unknown): LiminalError {
  return (
    asLiminalError(reason) ?? new LiminalError('ABORTED', 'Nobody waits for this message any more.', { cause: reason })
  )
}
