import { toLiminalError } from '../thrown.ts'
import type { ChannelLog } from './channel-log.ts'
import type { RetentionOptions } from './channel-registry.ts'
import type { CursorRegistry } from './cursor/index.ts'
import { sayRetentionFailed } from './diagnostics.ts'

/** Of a limit that may be exceeded before messages are removed: not one at a time. */
const SLACK = 1 / 16

/** Messages after which there is a look in any case. */
const MOST_BETWEEN = 1_024
/** Milliseconds between two looks at the age of messages, at least. */
const LEAST_MS = 100

/** Removes the old messages of a log: past its limits, but by default never what a cursor has not accepted. */
export class Retention {
  readonly #log: ChannelLog
  readonly #cursors: CursorRegistry
  readonly #options: RetentionOptions
  readonly #limited: boolean
  readonly #stop: () => void
  #running: Promise<void> | null = null
  /** The log's end, or the time, that makes the next look worthwhile. */
  #lookAt = 0n
  #lookAtMs = Number.POSITIVE_INFINITY

  constructor(log: ChannelLog, cursors: CursorRegistry, options: RetentionOptions) {
    this.#log = log
    this.#cursors = cursors
    this.#options = options
    this.#limited =
      options.maxAgeMs !== undefined || options.maxBytes !== undefined || options.maxMessages !== undefined
    this.#stop = log.onAppended((next) => {
      if (next >= this.#lookAt || performance.now() >= this.#lookAtMs) this.check()
    })
    this.check()
  }

  /** Looks whether something is to be removed. What fails is said, and tried again at the next look. */
  check(): void {
    if (this.#running !== null || this.#log.closed) return
    this.#running = this.#check()
      .catch((thrown: unknown) => sayRetentionFailed(this.#log.name, toLiminalError(thrown)))
      .finally(() => {
        this.#running = null
      })
  }

  /** Looks no more; resolves once a look that is underway is over. */
  async close(): Promise<void> {
    this.#stop()
    await this.#running
  }

  async #check(): Promise<void> {
    await this.#log.expireClaims()
    if (!this.#limited) {
      this.#lookAt = this.#log.next + 65_536n
      return
    }
    const before = await this.#before()
    if (before > this.#log.first) await this.#log.removeBefore(before)
    const { maxMessages, maxBytes, maxAgeMs } = this.#options
    const step = maxMessages === undefined ? MOST_BETWEEN : Math.max(1, Math.floor(maxMessages * SLACK))
    // How large messages are is not known before they come, and where the log stands is quick to tell.
    this.#lookAt = this.#log.next + BigInt(maxBytes === undefined ? Math.min(step, MOST_BETWEEN) : 1)
    if (maxAgeMs !== undefined) this.#lookAtMs = performance.now() + Math.max(LEAST_MS, maxAgeMs * SLACK)
  }

  /** The first position that stays. */
  async #before(): Promise<bigint> {
    const { maxAgeMs, maxBytes, maxMessages, pastCursors = false } = this.#options
    const { first, next, bytes } = await this.#log.store.state(this.#log.stream)
    let before = first
    const raise = (position: bigint): void => {
      if (position > before) before = position
    }
    if (maxMessages !== undefined) raise(next - BigInt(maxMessages))
    if (maxAgeMs !== undefined) raise(await this.#log.positionAt(Date.now() - maxAgeMs))
    if (maxBytes !== undefined && bytes > maxBytes) {
      // Messages of average size: the next look corrects what is off.
      const excess = Math.ceil(((bytes - maxBytes) / bytes) * Number(next - first))
      raise(first + BigInt(excess))
    }
    if (pastCursors) return before
    const needed = this.#cursors.neededFrom
    return needed !== null && needed < before ? needed : before
  }
}
