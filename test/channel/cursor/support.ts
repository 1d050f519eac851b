import {
  type CursorLog,
  CursorRegistry,
  type CursorSession,
  type CursorTarget,
  type CursorTerms,
} from '../../../ts/channel/cursor/index.ts'
import { type CursorRecord, decodeRecord } from '../../../ts/channel/cursor/record.ts'
import type { LoggedRun } from '../../../ts/channel/log-reading.ts'
import type { Logged, MessageRun } from '../../../ts/channel/run.ts'
import { MemoryStore, type StoreWrite } from '../../../ts/durability/index.ts'
import { LiminalError } from '../../../ts/errors.ts'
import { SCHEMA_ID_BYTES } from '../../../ts/protocol/index.ts'
import { payloadsOf, scannedRun } from '../runs.ts'

export const SCHEMA = new Uint8Array(SCHEMA_ID_BYTES).fill(7)

/** Resolves once everything that needs no timer and no disk has happened: all of it is promises. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** A store whose writes can be made to wait and to fail. */
export class TestStore extends MemoryStore {
  /** Records of cursors that were written, in order, by name. */
  readonly checkpoints: (CursorRecord & { readonly cursor: string })[] = []
  /** Writes that began. */
  writes = 0
  /** What the next writes fail with, one each. */
  readonly failures: LiminalError[] = []
  /** What writes wait for. */
  gate: Promise<void> | null = null

  override async write(changes: readonly StoreWrite[]): Promise<void> {
    this.writes++
    if (this.gate !== null) await this.gate
    const failure = this.failures.shift()
    if (failure !== undefined) throw failure
    await super.write(changes)
    for (const change of changes) {
      if (change.type !== 'set' || change.key.kind !== 'cursor' || change.value === null) continue
      const cursor = change.key.parts[1]
      this.checkpoints.push({ cursor, ...decodeRecord(change.value, cursor) })
    }
  }

  /** Puts a value where a cursor of a channel keeps its record. */
  plant(channel: string, cursor: string, value: Uint8Array): Promise<void> {
    return super.write([{ type: 'set', key: { kind: 'cursor', parts: [channel, cursor] }, value }])
  }

  get lastCheckpoint(): CursorRecord | undefined {
    return this.checkpoints.at(-1)
  }
}

/** What one life of a bus has of a store: nothing it writes after a crash arrives. */
class StoreOfOneLife extends MemoryStore {
  readonly #store: TestStore
  crashed = false

  constructor(store: TestStore) {
    super()
    this.#store = store
  }

  override write(changes: readonly StoreWrite[]): Promise<void> {
    return this.crashed ? new Promise(() => {}) : this.#store.write(changes)
  }

  override get: MemoryStore['get'] = (key) => this.#store.get(key)
  override keys: MemoryStore['keys'] = (kind, parts, page) => this.#store.keys(kind, parts, page)
}

/** A log in memory. */
export class TestLog implements CursorLog {
  readonly name = 'orders'
  readonly disk: TestStore
  first = 0n
  next = 0n
  closed = false
  /** Reads, as what they asked for. */
  readonly reads: { readonly position: number; readonly maxMessages: number }[] = []
  readonly readFailures: LiminalError[] = []
  readGate: Promise<void> | null = null
  readonly #life: StoreOfOneLife
  readonly #runs: LoggedRun[]
  readonly #listeners = new Set<(next: bigint) => void>()

  constructor(disk = new TestStore(), runs: readonly LoggedRun[] = []) {
    this.disk = disk
    this.#runs = [...runs]
    this.#life = new StoreOfOneLife(disk)
  }

  get store(): MemoryStore {
    return this.#life
  }

  get listeners(): number {
    return this.#listeners.size
  }

  /** The bus ends at once: nothing that it does from now on reaches the store. Returns the log as the next life of the bus finds it. */
  crash(): TestLog {
    this.#life.crashed = true
    this.#listeners.clear()
    const log = new TestLog(this.disk, this.#runs)
    log.first = this.first
    log.next = this.next
    return log
  }

  /** Publishes messages as one run. */
  publish(...payloads: string[]): void {
    const run = scannedRun(payloads)
    if (run.count !== payloads.length) throw new Error(`${payloads.length} messages are too many for one run.`)
    this.#runs.push({ run, first: this.next, schemaId: SCHEMA })
    this.next += BigInt(payloads.length)
    for (const listener of this.#listeners) listener(this.next)
  }

  /** Publishes `count` messages, each saying its position, as one run. */
  publishCount(count: number): void {
    this.publish(...Array.from({ length: count }, (_, index) => `${Number(this.next) + index}`))
  }

  removeBefore(position: bigint): void {
    this.first = position
  }

  async read(position: bigint, limits: { maxMessages: number }): Promise<readonly LoggedRun[]> {
    this.reads.push({ position: Number(position), maxMessages: limits.maxMessages })
    if (this.readGate !== null) await this.readGate
    const failure = this.readFailures.shift()
    if (failure !== undefined) throw failure
    const from = position < this.first ? this.first : position
    const found: LoggedRun[] = []
    let left = limits.maxMessages
    for (const { run, first } of this.#runs) {
      const skipped = from > first ? Number(from - first) : 0
      if (skipped >= run.count || left <= 0) continue
      const count = Math.min(left, run.count - skipped)
      found.push({
        run: { ...run, first: run.first + skipped, count },
        first: first + BigInt(skipped),
        schemaId: SCHEMA,
      })
      left -= count
    }
    return found
  }

  onAppended(listener: (next: bigint) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

export interface Received {
  readonly position: number
  readonly attempt: number
}

/** A target that writes down what it gets. */
export class TestTarget implements CursorTarget {
  readonly received: Received[] = []
  /** Runs that came, each as many messages as it had. */
  readonly runs: number[] = []
  readonly ends: LiminalError[] = []
  readonly fences: LiminalError[] = []
  /** What all runs have to have. */
  schemaId: Uint8Array = SCHEMA
  /** What it does with a delivery beyond writing it down; `false`: it does not take it. */
  onDeliver: (logged: Logged, count: number) => boolean = () => true
  behind: Promise<void> | null = null
  free = Number.POSITIVE_INFINITY
  #onRoom: (() => void) | null = null

  deliver(run: MessageRun, schemaId: Uint8Array, logged: Logged): boolean {
    if (Buffer.compare(schemaId, this.schemaId) !== 0) throw new Error('The schema id is not that of the run.')
    const { position, attempt } = logged
    const payloads = payloadsOf(run)
    for (const [index, payload] of payloads.entries()) {
      if (payload !== `${Number(position) + index}`) throw new Error(`${payload} came as ${Number(position) + index}.`)
    }
    const before = this.received.length
    for (let index = 0; index < run.count; index++) this.received.push({ position: Number(position) + index, attempt })
    if (!this.onDeliver(logged, run.count)) {
      this.received.length = before
      return false
    }
    this.runs.push(run.count)
    this.free -= run.count
    return true
  }

  hold(): Promise<void> | null {
    return this.behind
  }

  room(): number {
    return this.free
  }

  onRoom(listener: () => void): void {
    this.#onRoom = listener
  }

  /** Has room for so many again. */
  takes(count: number): void {
    this.free = count
    const listener = this.#onRoom
    this.#onRoom = null
    listener?.()
  }

  end(error: LiminalError): void {
    this.ends.push(error)
  }

  /** What it got since it was last asked, as text: `5` is position 5 for the first time, `5/2` for the second. */
  take(): string[] {
    return this.received
      .splice(0)
      .map(({ position, attempt }) => (attempt === 1 ? `${position}` : `${position}/${attempt}`))
  }
}

/** Terms for a target; what it is told when it is fenced is written down there. */
export function termsOf(target: TestTarget, terms: Partial<CursorTerms> = {}): CursorTerms {
  return { target, fenced: (error) => target.fences.push(error), maxInFlight: 100, ...terms }
}

/** A cursor from the beginning of a log, taken by a target that is ready. */
export async function taken(
  log: TestLog,
  terms: Partial<CursorTerms> = {},
): Promise<{ registry: CursorRegistry; target: TestTarget; session: CursorSession }> {
  const registry = await CursorRegistry.open(log)
  const target = new TestTarget()
  const session = registry.findOrCreate('billing', 0n).acquire(termsOf(target, terms))
  await session.ready
  await settled()
  return { registry, target, session }
}

export function storeFailed(): LiminalError {
  return new LiminalError('STORE_FAILED', 'The disk does not answer.')
}

/** Positions from `start` to `end` (not included), as {@link TestTarget.take} says them. */
export function range(start: number, end: number, attempt = 1): string[] {
  return Array.from({ length: end - start }, (_, index) =>
    attempt === 1 ? `${start + index}` : `${start + index}/${attempt}`,
  )
}
