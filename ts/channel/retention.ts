import { toLiminalError } from '../thrown.ts'
import type { ChannelLog } from './channel-log.ts'
import type { RetentionOptions } from './channel-registry.ts'
import type { CursorRegistry } from './cursor/index.ts'
import { sayRetentionFailed } from './diagnostics.ts'

/** Of a limit that may be exceeded before messages are removed: not one at a time. */
const SLACK = 1 / 16

/** Removes the old messages of a log: past its limits, but by default never what a cursor has not accepted. */
export class Retention {
  readonly #log: ChannelLog
  readonly #cursors: CursorRegistry
  readonly #options: RetentionOptions
  readonly #limited: boolean
  readonly #stop: () => void
  #running: Promise<void> | null = null
  /** The log's end that makes the next look worthwhile. */
  #lookAt = 0n

  constructor(log: ChannelLog, cursors: CursorRegistry, options: RetentionOptions) {
    this.#log = log
    this.#cursors = cursors
    this.#options = options
    this.#limited =
      options.maxAgeMs !== undefined || options.maxBytes !== undefined || options.maxMessages !== undefined
    this.#stop = log.onAppended((next) => {
      if (next >= this.#lookAt) this.check()
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
    const { maxMessages } = this.#options
    const step = maxMessages === undefined ? 1_024 : Math.max(1, Math.floor(maxMessages * SLACK))
    this.#lookAt = this.#log.next + BigInt(Math.min(step, 1_024))
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
