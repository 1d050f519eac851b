import type { StoreKey } from '../../durability/index.ts'
import { LiminalError } from '../../errors.ts'
import { Burial } from './burial.ts'
import { CheckpointWriter } from './checkpoint-writer.ts'
import { CursorVoice } from './diagnostics.ts'
import type { CursorLog } from './feed.ts'
import { type CursorRecord, encodeRecord } from './record.ts'
import { CursorSession } from './session.ts'
import { type CursorTerms, checkTerms, LEASE_MS } from './terms.ts'
import { DeliveryTracker } from './tracker.ts'

/** What a cursor has accepted, and how far it is behind. */
export interface CursorStatus {
  readonly channel: string
  readonly name: string
  /** The first position that was not accepted, as it was last written down. */
  readonly position: bigint
  /** Messages from there, or from the oldest that is still there, to the end of the log. */
  readonly lag: bigint
  /** Whether a subscription owns it now. */
  readonly owned: boolean
}

/** Where the store keeps a cursor. */
export function cursorKey(channel: string, name: string): StoreKey {
  return { kind: 'cursor', parts: [channel, name] }
}

/**
 * A named place in the log of a channel, and what became of the messages from there on (spec durability §7). It is in memory as long as its channel is; the store has what it was at the last
 * checkpoint. One owner at a time: {@link acquire} takes it from the one before.
 */
export class Cursor {
  readonly name: string
  readonly #log: CursorLog
  readonly #voice: CursorVoice
  readonly #burial: Burial
  /** See FeedOptions. */
  readonly #recordedBelow: number
  #writer: CheckpointWriter
  #tracker: DeliveryTracker
  #epoch: number
  #session: CursorSession | null = null
  /** The watermark in the store. */
  #written: number
  #over: LiminalError | null = null

  /** @param record as it was in the store; one that is owned had an owner when the bus ended without notice. */
  constructor(name: string, log: CursorLog, record: CursorRecord) {
    this.name = name
    this.#log = log
    this.#voice = new CursorVoice(log.name, name)
    this.#tracker = new DeliveryTracker(record)
    this.#epoch = record.epoch
    this.#written = record.watermark
    // What the owner of a bus that crashed was given, perhaps for the first time, is somewhere here; one of these may be what brought it down.
    this.#recordedBelow = record.owned ? Number(log.next) : 0
    this.#burial = new Burial(this.#tracker, {
      log,
      cursor: name,
      voice: this.#voice,
      onChanged: (settled) => this.#burialChanged(settled),
    })
    this.#writer = this.#newWriter()
  }

  /** Where it is. */
  get status(): CursorStatus {
    const from = this.#written < Number(this.#log.first) ? this.#log.first : BigInt(this.#written)
    const { name } = this
    const lag = this.#log.next > from ? this.#log.next - from : 0n
    return { channel: this.#log.name, name, position: BigInt(this.#written), lag, owned: this.#session !== null }
  }

  /** From where on the log is still needed: what is accepted and not written down would be delivered again after a crash. */
  get neededFrom(): bigint {
    return BigInt(Math.min(this.#tracker.watermark, this.#written))
  }

  /**
   * Takes the cursor. Whoever has it is fenced: it is told at once, and nothing it does afterwards counts. Everything that is not accepted is delivered to the new owner, with a higher attempt if
   * it was handed out before, and then what follows.
   *
   * @throws LiminalError `INVALID_ARGUMENT`; `CURSOR_NOT_FOUND` if it was removed; `CLOSED`.
   */
  acquire(terms: CursorTerms): CursorSession {
    checkTerms(terms)
    if (this.#over !== null) throw this.#over
    const fenced = this.#session
    const fencedEpoch = this.#epoch
    this.#epoch++
    this.#tracker.begin({
      leaseMs: terms.leaseMs ?? LEASE_MS,
      maxAttempts: terms.maxAttempts ?? null,
      commitsExplicitly: terms.checkpoint === 'explicit',
      leaseBegins: terms.leaseBegins ?? 'delivered',
    })
    this.#burial.use(this.#tracker, terms.deadLetter ?? null)
    const session = new CursorSession(terms, {
      log: this.#log,
      cursor: this.name,
      epoch: this.#epoch,
      tracker: this.#tracker,
      writer: this.#writer,
      burial: this.#burial,
      voice: this.#voice,
      recordedBelow: this.#recordedBelow,
      onLeft: (how) => this.#left(how),
    })
    this.#session = session
    this.#voice.acquired(this.#epoch, this.#tracker.watermark)
    // Last: it may acquire the cursor again while it is told.
    if (fenced !== null) this.#fence(fenced, fencedEpoch, 'a newer subscription took it')
    return session
  }

  /**
   * Moves it to a position, which is at most the end of the log; a position that is not there any more is that of the oldest message. Whoever owns it is fenced, and what was accepted behind the
   * position or attempted is forgotten.
   *
   * @throws LiminalError `CURSOR_NOT_FOUND`, `CLOSED`; `STORE_FAILED`, `STORE_FULL`, `STORE_BUSY`: it is moved, but that is not durable yet and tried again.
   */
  async set(position: bigint): Promise<void> {
    if (this.#over !== null) throw this.#over
    const { first, next } = this.#log
    const within = position < first ? first : position > next ? next : position
    const fenced = this.#session
    this.#session = null
    this.#tracker = new DeliveryTracker({ watermark: Number(within), spans: [], owned: false })
    this.#burial.use(this.#tracker, null)
    const written = this.#writer.write()
    if (fenced !== null) this.#fence(fenced, this.#epoch, 'an operator moved it')
    await written
  }

  /** Forgets it. Whoever owns it is fenced. @throws LiminalError `CLOSED`; `STORE_FAILED`, `STORE_FULL`, `STORE_BUSY`: it is still there. */
  async remove(): Promise<void> {
    if (this.#over !== null) throw this.#over
    const text = `Cursor '${this.name}' of channel '${this.#log.name}' was removed.`
    this.#over = new LiminalError('CURSOR_NOT_FOUND', text)
    // Nothing may be written behind the removal.
    this.#writer.stop(this.#over)
    const fenced = this.#session
    this.#left('left')
    if (fenced !== null) this.#fence(fenced, this.#epoch, 'an operator removed it')
    try {
      await this.#log.store.write([{ type: 'set', key: cursorKey(this.#log.name, this.name), value: null }])
    } catch (error) {
      this.#over = null
      this.#writer = this.#newWriter()
      throw error
    }
  }

  /**
   * Ends it with its channel: the owner's target is ended with this error, and what is not written down yet is. Idempotent.
   *
   * @throws LiminalError what the last checkpoint failed with.
   */
  async close(error: LiminalError): Promise<void> {
    if (this.#over !== null) return
    this.#over = error
    const unwritten = this.#session !== null || this.#writer.pending
    this.#session?.fail(error)
    this.#burial.use(this.#tracker, null)
    try {
      if (unwritten) await this.#writer.write()
    } finally {
      this.#writer.stop(error)
    }
  }

  #fence(session: CursorSession, epoch: number, why: string): void {
    const text = `The subscription lost cursor '${this.name}' of channel '${this.#log.name}': ${why}. Subscribe again to take it back.`
    this.#voice.fenced(epoch, this.#tracker.watermark)
    session.fence(new LiminalError('CURSOR_FENCED', text))
  }

  /** Nobody owns it any more. */
  #left(how: 'left' | 'died'): void {
    this.#session = null
    this.#tracker.release(how === 'died')
    this.#burial.use(this.#tracker, null)
    if (this.#over === null) this.#writer.request()
  }

  #burialChanged(settled: number): void {
    // Soon, whatever the owner's policy: until it is written down, a crash repeats the burial.
    if (settled > 0 && this.#over === null) this.#writer.request()
    this.#session?.wake()
  }

  #newWriter(): CheckpointWriter {
    return new CheckpointWriter({
      write: () => this.#write(),
      onFailed: (error) => {
        this.#voice.failed('checkpointFailed', error)
        if (!error.retryable) this.#session?.fail(error)
      },
    })
  }

  async #write(): Promise<void> {
    const { watermark, spans } = this.#tracker.recorded
    const value = encodeRecord({ epoch: this.#epoch, owned: this.#session !== null, watermark, spans })
    this.#session?.checkpointBegan()
    await this.#log.store.write([{ type: 'set', key: cursorKey(this.#log.name, this.name), value }])
    this.#written = watermark
    this.#voice.checkpointed(watermark)
  }
}
