import type { EventStore, StoreKey, StoreWrite } from '../../durability/index.ts'
import { toLiminalError } from '../../thrown.ts'
import { MAX_TIMEOUT_MS } from '../../waiting.ts'
import { sayJournalFailed } from '../diagnostics.ts'
import { type ConversationName, snapshotOf } from './journal.ts'

/** First part of the keys that say when the end of a conversation is forgotten. */
const EXPIRY = 'conversation-expiry'
/** Digits of a time in milliseconds, so that texts compare as times do. */
const TIME_DIGITS = 15
const PAGE = 64
const RETRY_MS = 5_000

/** The value that says that the end of a conversation is forgotten at a time. */
export function expiryOf({ subject, key }: ConversationName, at: number): StoreKey {
  return { kind: 'meta', parts: [EXPIRY, String(Math.floor(at)).padStart(TIME_DIGITS, '0'), subject, key] }
}

/** Forgets ended conversations when their time has come, a page at a time. */
export class Retention {
  readonly #store: EventStore
  #timer: NodeJS.Timeout | null = null
  #due = Number.POSITIVE_INFINITY
  #sweeping: Promise<void> | null = null
  #isClosed = false

  constructor(store: EventStore) {
    this.#store = store
  }

  /** Something is to be forgotten at that time. */
  expect(at: number): void {
    if (this.#isClosed || at >= this.#due) return
    this.#due = at
    if (this.#timer !== null) clearTimeout(this.#timer)
    const waitMs = Math.min(Math.max(0, at - Date.now()), MAX_TIMEOUT_MS)
    this.#timer = setTimeout(() => this.#sweep(), waitMs)
    // Nobody waits for it.
    this.#timer.unref()
  }

  /** Nothing is forgotten any more. Resolves when nothing is underway. */
  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    await this.#sweeping
  }

  #sweep(): void {
    this.#timer = null
    this.#due = Number.POSITIVE_INFINITY
    this.#sweeping ??= this.#forget()
      .then(
        (next) => {
          if (next !== null) this.expect(next)
        },
        (thrown: unknown) => {
          sayJournalFailed('*', '*', toLiminalError(thrown))
          this.expect(Date.now() + RETRY_MS)
        },
      )
      .finally(() => {
        this.#sweeping = null
      })
  }

  /** Returns when the next one is to be forgotten, `null` if there is none. */
  async #forget(): Promise<number | null> {
    while (!this.#isClosed) {
      const { keys } = await this.#store.keys('meta', [EXPIRY], { limit: PAGE })
      const now = Date.now()
      const due = keys.filter((key) => timeOf(key) <= now)
      if (due.length > 0) await this.#store.write(due.flatMap(removalOf))
      if (due.length < keys.length) return timeOf(keys[due.length])
      if (keys.length < PAGE) return null
    }
    return null
  }
}

function timeOf({ parts }: StoreKey): number {
  return Number(parts[1])
}

function removalOf(key: StoreKey): StoreWrite[] {
  const [, , subject, name] = key.parts
  return [
    { type: 'remove', stream: snapshotOf({ subject, key: name }) },
    { type: 'set', key, value: null },
  ]
}
