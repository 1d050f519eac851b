import { createHash } from 'node:crypto'

/** How long and how many idempotency keys a channel remembers. */
export interface IdempotencyLimits {
  /** Milliseconds. Default 120,000. */
  readonly windowMs?: number | undefined
  /** Keys; past it the oldest are forgotten early. Default 100,000. */
  readonly maxKeys?: number | undefined
}

/** What is remembered of the first publish with a key. */
export interface RememberedPublish {
  messageId: bigint
  deliveredTo: number
}

interface Entry extends RememberedPublish {
  readonly key: string
  readonly expiresAt: number
}

/** Keys up to this many bytes are kept as they are; longer ones by their SHA-256, so that nobody fills memory with keys. */
const VERBATIM_KEY_BYTES = 64
/** Marks a hashed key. No verbatim key has it: those are made of Latin-1 characters. */
const HASHED = '\u0100'
const COMPACT_AT = 1_024

/**
 * The idempotency keys of one channel and what became of their first publish. Keys expire in the order in which they came, so nothing is ever searched for
 * expired ones; one timer, which does not keep the process alive, gives the memory back when no more come.
 */
export class IdempotencyWindow {
  readonly #windowMs: number
  readonly #maxKeys: number
  readonly #entries = new Map<string, Entry>()
  /** Entries in insertion order from `#oldest` on. A Map's own order would do, but taking from its front is slow. */
  #order: Entry[] = []
  #oldest = 0
  #timer: NodeJS.Timeout | null = null

  constructor(limits: IdempotencyLimits = {}) {
    this.#windowMs = limits.windowMs ?? 120_000
    this.#maxKeys = limits.maxKeys ?? 100_000
  }

  /** Keys remembered. */
  get size(): number {
    return this.#entries.size
  }

  /** The publish remembered for a key, if its window is not over. */
  find(key: string): RememberedPublish | undefined {
    this.#expire(performance.now())
    return this.#entries.get(key)
  }

  /** Remembers a key that {@link find} did not know. The caller fills in what became of the message. */
  remember(key: string): RememberedPublish {
    const entry: Entry = { key, messageId: 0n, deliveredTo: 0, expiresAt: performance.now() + this.#windowMs }
    this.#entries.set(key, entry)
    this.#order.push(entry)
    if (this.#entries.size > this.#maxKeys) this.#forgetOldest()
    if (this.#timer === null) this.#arm()
    return entry
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear()
    this.#order = []
    this.#oldest = 0
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #expire(now: number): void {
    while (this.#oldest < this.#order.length && this.#order[this.#oldest].expiresAt <= now) this.#forgetOldest()
  }

  #forgetOldest(): void {
    this.#entries.delete(this.#order[this.#oldest].key)
    this.#oldest++
    if (this.#oldest >= COMPACT_AT && this.#oldest * 2 >= this.#order.length) {
      this.#order.splice(0, this.#oldest)
      this.#oldest = 0
    }
  }

  #arm(): void {
    const oldest = this.#order[this.#oldest]
    this.#timer = setTimeout(
      () => {
        this.#timer = null
        this.#expire(performance.now())
        if (this.#entries.size > 0) this.#arm()
        else this.clear()
      },
      Math.min(2_147_483_647, Math.max(1, Math.ceil(oldest.expiresAt - performance.now()))),
    )
    this.#timer.unref()
  }
}

/** The form in which a key is remembered: injective over its bytes. */
export function windowKey(bytes: Uint8Array, start: number, length: number): string {
  const key = Buffer.from(bytes.buffer, bytes.byteOffset + start, length)
  if (length <= VERBATIM_KEY_BYTES) return key.toString('latin1')
  return HASHED + createHash('sha256').update(key).digest('binary')
}
