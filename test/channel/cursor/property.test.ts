import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CursorRegistry, type CursorSession, type CursorTerms } from '../../../ts/channel/cursor/index.ts'
import type { CursorRecord } from '../../../ts/channel/cursor/record.ts'
import { type Received, settled, storeFailed, TestLog, TestTarget, termsOf } from './support.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const MAX_IN_FLIGHT = 8

const command = fc.oneof(
  fc.record({ does: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 6 }) }),
  fc.record({ does: fc.constantFrom('accept', 'acceptOne', 'extend'), pick: fc.nat() }),
  fc.record({ does: fc.constant('reject' as const), pick: fc.nat(), delayMs: fc.constantFrom(0, 300) }),
  fc.record({ does: fc.constant('pass' as const), ms: fc.constantFrom(10, 300, 1_000) }),
  fc.record({ does: fc.constant('room' as const), count: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ does: fc.constant('see' as const), count: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ does: fc.constantFrom('fence', 'leave', 'crash', 'checkpoint', 'fail', 'refuse', 'turn') }),
)
const terms = fc.record({
  checkpoint: fc.constantFrom('message' as const, 'explicit' as const, { every: 3, withinMs: 500 }),
  maxAttempts: fc.constantFrom(undefined, 3),
  leaseBegins: fc.constantFrom('delivered' as const, 'seen' as const),
})

/** What a user of a cursor knows, next to the real one. */
class Model {
  log = new TestLog()
  readonly #terms: Partial<CursorTerms>
  /** What may count as accepted: the user accepted it, or it was buried. */
  readonly accepted = new Set<number>()
  /** The last attempt at which each position was delivered. */
  readonly #attempts = new Map<number, number>()
  #registry: CursorRegistry | null = null
  #session: CursorSession | null = null
  #target = new TestTarget()
  /** Deliveries of this session that the user has seen, in their order. */
  #delivered: Received[] = []
  /** Those of them that the user handed back. */
  readonly #handedBack = new Set<Received>()
  #crashed = false
  #seen = 0

  constructor(chosen: Partial<CursorTerms>) {
    this.#terms = {
      ...chosen,
      maxInFlight: MAX_IN_FLIGHT,
      leaseMs: 1_000,
      deadLetter: async ({ position, attempts }) => {
        expect(attempts).toBeGreaterThanOrEqual(3)
        this.accepted.add(Number(position))
      },
    }
  }

  async open(): Promise<void> {
    this.#registry = await CursorRegistry.open(this.log)
    this.acquire()
  }

  acquire(): void {
    if (this.#registry === null) throw new Error('It is not open.')
    this.#target = new TestTarget()
    this.#delivered = []
    this.#session = this.#registry.findOrCreate('billing', 0n).acquire(termsOf(this.#target, this.#terms))
  }

  async run(chosen: typeof command extends fc.Arbitrary<infer Value> ? Value : never): Promise<void> {
    const session = this.#session
    if (session === null) throw new Error('It is not open.')
    const picked = 'pick' in chosen ? this.#delivered[chosen.pick % Math.max(1, this.#delivered.length)] : undefined
    switch (chosen.does) {
      case 'publish':
        this.log.publishCount(chosen.count)
        break
      case 'accept':
        if (picked === undefined) break
        this.#acceptUpTo(picked)
        session.accept(BigInt(picked.position), picked.attempt)
        break
      case 'acceptOne':
        if (picked === undefined) break
        this.accepted.add(picked.position)
        session.acceptOne(BigInt(picked.position))
        break
      case 'extend':
        if (picked !== undefined) session.extend(BigInt(picked.position), picked.attempt)
        break
      case 'reject':
        if (picked === undefined) break
        this.#handedBack.add(picked)
        session.reject(BigInt(picked.position), { ...chosen, attempt: picked.attempt })
        break
      case 'pass':
        await vi.advanceTimersByTimeAsync(chosen.ms)
        break
      case 'see':
        this.#see(chosen.count)
        break
      case 'room':
        this.#target.takes(chosen.count)
        break
      case 'fence':
        this.acquire()
        break
      case 'leave':
        // It says that the store failed, if that was next.
        await session.close().catch((error: unknown) => expect(error).toMatchObject({ code: 'STORE_FAILED' }))
        this.acquire()
        break
      case 'refuse':
        this.#target.onDeliver = () => false
        break
      case 'crash':
        this.#crashed = true
        this.log = this.log.crash()
        await this.open()
        break
      case 'checkpoint':
        await session
          .checkpoint()
          .catch((error: unknown) => expect(['STORE_FAILED', 'CLOSED']).toContain((error as { code?: string }).code))
        break
      case 'fail':
        this.log.disk.failures.push(storeFailed())
        break
      case 'turn':
        await settled()
        break
    }
    if (this.#session?.ended?.code === 'CLOSED') this.acquire()
  }

  /** Takes what was delivered, and checks what must hold at any time. */
  check(): void {
    for (const record of this.log.disk.checkpoints.slice(this.#seen)) this.#checkRecord(record)
    this.#seen = this.log.disk.checkpoints.length
    expect(this.#session?.inFlight).toBeLessThanOrEqual(MAX_IN_FLIGHT)
    if (this.#terms.leaseBegins === 'delivered') this.#see(Number.POSITIVE_INFINITY)
  }

  /** Takes so many of the deliveries that wait. */
  #see(count: number): void {
    if (this.#session?.ended !== null && this.#terms.leaseBegins === 'seen') return
    const from = this.#delivered.length
    const fresh = this.#target.received.slice(from, from + count)
    for (const { position, attempt } of fresh) {
      if (this.#terms.leaseBegins === 'seen') this.#session?.seen(BigInt(position), 1)
      const before = this.#attempts.get(position) ?? 0
      // What was handed out for the first time, and crashed the bus before that was written down, comes as the first attempt again.
      if (this.#crashed && before === 1) expect(attempt).toBeGreaterThanOrEqual(1)
      else expect(attempt).toBeGreaterThan(before)
      // Nothing but a crash costs an attempt of what nobody saw. One that was accepted late, while it waited once more, counts that.
      if (this.#terms.leaseBegins === 'seen' && !this.#crashed && !this.accepted.has(position))
        expect(attempt).toBe(before + 1)
      this.#attempts.set(position, attempt)
    }
    this.#delivered.push(...fresh)
  }

  /** Accepts all that comes, until nothing does. */
  async drain(): Promise<void> {
    const missing = new Set<number>()
    this.log.disk.failures.length = 0
    this.#crashed = true
    this.log = this.log.crash()
    await this.open()
    for (let position = 0; position < Number(this.log.next); position++)
      if (!this.accepted.has(position)) missing.add(position)
    for (let round = 0; missing.size > 0 || this.#registry?.neededFrom !== this.log.next; round++) {
      if (round > 1_000) throw new Error(`${[...missing]} never came.`)
      await settled()
      this.check()
      this.#see(Number.POSITIVE_INFINITY)
      for (const { position } of this.#delivered) {
        missing.delete(position)
        this.accepted.add(position)
        this.#session?.acceptOne(BigInt(position))
      }
      for (const position of missing) if (this.accepted.has(position)) missing.delete(position)
      await this.#session?.checkpoint()
    }
    expect(this.log.disk.lastCheckpoint?.watermark).toBe(Number(this.log.next))
  }

  /** This one and all that came before it, except for what was handed back. */
  #acceptUpTo(picked: Received): void {
    const at = this.#delivered.indexOf(picked)
    for (const delivery of this.#delivered.slice(0, at)) {
      if (!this.#handedBack.has(delivery)) this.accepted.add(delivery.position)
    }
    this.accepted.add(picked.position)
  }

  #checkRecord({ watermark, spans }: CursorRecord): void {
    let at = watermark
    for (let position = 0; position < watermark; position++) expect(this.accepted).toContain(position)
    for (const { count, attempts } of spans) {
      if (attempts === 0)
        for (let position = at; position < at + count; position++) expect(this.accepted).toContain(position)
      at += count
    }
    expect(at).toBeLessThanOrEqual(Number(this.log.next))
  }
}

describe('a cursor, whatever is done to it in whatever order', () => {
  it('loses nothing, keeps to its window, and never forgets an attempt that it wrote down', async () => {
    await fc.assert(
      fc.asyncProperty(terms, fc.array(command, { minLength: 10, maxLength: 60 }), async (chosen, commands) => {
        const model = new Model(chosen)
        await model.open()
        for (const [index, next] of commands.entries()) {
          await model.run(next)
          // Not after each: several things happen in one turn.
          if (index % 2 === 1) await settled()
          model.check()
        }
        await settled()
        model.check()
        await model.drain()
      }),
      { numRuns: 300 },
    )
  })
})
