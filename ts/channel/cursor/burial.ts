import { type Backoff, drawDelay } from '../../backoff.ts'
import { LiminalError } from '../../errors.ts'
import { toLiminalError } from '../../thrown.ts'
import type { CursorVoice } from './diagnostics.ts'
import type { CursorLog } from './feed.ts'
import type { ExhaustedMessage } from './positions.ts'
import type { DeadLetter } from './terms.ts'
import type { DeliveryTracker } from './tracker.ts'

export interface BurialOptions {
  readonly log: CursorLog
  readonly cursor: string
  readonly voice: CursorVoice
  /** So many messages count as accepted now; 0: one is not exhausted any more. */
  readonly onChanged: (settled: number) => void
}

type Bury = (message: DeadLetter) => Promise<void>

const BACKOFF: Backoff = { baseMs: 100, maxMs: 30_000 }

/**
 * Takes the exhausted messages of a cursor to the dead-letter channel, one at a time and in order. It outlives owners: a burial that is underway when its owner leaves still counts, so that the next
 * owner does not repeat it.
 */
export class Burial {
  readonly #options: BurialOptions
  #tracker: DeliveryTracker
  #bury: Bury | null = null
  #running = false
  #failures = 0
  #timer: NodeJS.Timeout | null = null

  constructor(tracker: DeliveryTracker, options: BurialOptions) {
    this.#tracker = tracker
    this.#options = options
  }

  /** From now on buries what this tracker has, as this owner says; `null`: nobody says anything. */
  use(tracker: DeliveryTracker, bury: Bury | null): void {
    this.#tracker = tracker
    this.#bury = bury
    this.#failures = 0
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  /** There may be something to bury. */
  wake(): void {
    if (!this.#running && this.#timer === null) this.#run()
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#bury !== null && this.#timer === null) {
      const tracker = this.#tracker
      const message = tracker.bury()
      if (message === null) break
      await this.#buryOne(message, tracker, this.#bury)
    }
    this.#running = false
  }

  async #buryOne(message: ExhaustedMessage, tracker: DeliveryTracker, bury: Bury): Promise<void> {
    const { log, cursor, voice, onChanged } = this.#options
    const { position, attempts, reason } = message
    let settled = 0
    try {
      const [logged] = await log.read(BigInt(position), { maxMessages: 1, maxBytes: 1 })
      if (logged !== undefined && Number(logged.first) <= position) {
        const { bytes, columns, first } = logged.run
        const run = { bytes, columns, first: first + position - Number(logged.first), count: 1 }
        const { schemaId } = logged
        await bury({ channel: log.name, cursor, position: BigInt(position), attempts, reason, run, schemaId })
        voice.deadLettered(position, attempts, reason)
      } else if (position < Number(log.first)) {
        voice.skipped(position + 1, 1)
      } else {
        throw new LiminalError(
          'INTERNAL',
          `The log of channel '${log.name}' has no message ${position}, which it should have.`,
        )
      }
      this.#failures = 0
      tracker.buried(position)
      settled = 1
    } catch (error) {
      voice.failed('deadLetterFailed', toLiminalError(error))
      tracker.unburied(position)
      if (this.#bury === bury) this.#backOff()
    }
    onChanged(settled)
  }

  #backOff(): void {
    this.#failures++
    this.#timer = setTimeout(
      () => {
        this.#timer = null
        this.wake()
      },
      drawDelay(BACKOFF, this.#failures),
    )
    this.#timer.unref()
  }
}
