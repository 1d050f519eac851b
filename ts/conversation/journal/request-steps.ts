import { createHash } from 'node:crypto'
import { Deferred } from '../../deferred.ts'
import { LiminalError } from '../../errors.ts'
import type { MessageSteps, StepStart } from '../steps.ts'
import type { Journal } from './journal.ts'
import { stepKey } from './journal-state.ts'

/** Steps of one request, at most: all of them are read again after a crash. */
const MOST_STEPS = 10_000
/** Bytes of a step's output, at most. */
const MOST_OUTPUT_BYTES = 1024 * 1024
const TOKEN_DIGITS = 32

/** A step that somebody runs now. */
interface Running {
  readonly run: StepRun
  /** Resolves once nobody runs it any more. */
  readonly over: Deferred<void>
}

/** The steps of one request, across all of its attempts. */
export class RequestSteps {
  readonly #journal: Journal
  readonly #request: string
  readonly #running = new Map<string, Running>()
  /** Outputs on their way to the store. */
  readonly #recording = new Map<string, Promise<Uint8Array>>()
  #isOver = false

  constructor(journal: Journal, request: string) {
    this.#journal = journal
    this.#request = request
  }

  /** For one attempt. */
  run(): MessageSteps {
    return new StepRun(this)
  }

  /** The request is settled: nothing is recorded any more. */
  end(): void {
    this.#isOver = true
    for (const { over } of this.#running.values()) over.resolve()
    this.#running.clear()
  }

  async begin(run: StepRun, step: string, ordinal: number): Promise<StepStart> {
    const key = stepKey(step, ordinal)
    for (;;) {
      const steps = this.#steps()
      const known = steps.get(key)
      if (known?.output != null) return { is: 'done', output: known.output }
      const running = this.#running.get(key)
      if (running === undefined) {
        if (known === undefined && steps.size + this.#running.size >= MOST_STEPS) throw this.#tooMany()
        this.#running.set(key, { run, over: new Deferred() })
        return { is: 'run', token: this.#token(step, ordinal), attempt: (known?.failures ?? 0) + 1 }
      }
      await running.over.promise
    }
  }

  async complete(run: StepRun, step: string, ordinal: number, output: Uint8Array): Promise<Uint8Array> {
    const key = stepKey(step, ordinal)
    if (output.length > MOST_OUTPUT_BYTES) {
      this.#leave(run, key)
      const message = `The output of step '${step}' has ${output.length} bytes; ${MOST_OUTPUT_BYTES} are kept at most. Keep it elsewhere, and let the step return where.`
      throw new LiminalError('PAYLOAD_TOO_LARGE', message)
    }
    const request = this.#request
    try {
      const known = this.#steps().get(key)?.output
      // Somebody who was taken for dead has done it too: what was recorded first counts.
      if (known != null) return known
      const first = this.#recording.get(key)
      if (first !== undefined) return await first
      const event = { is: 'step', at: Date.now(), request, step, ordinal, output } as const
      const recording = this.#journal.persist(event).then(() => output)
      this.#recording.set(key, recording)
      return await recording
    } finally {
      this.#leave(run, key)
    }
  }

  async fail(run: StepRun, step: string, ordinal: number, message: string): Promise<void> {
    const key = stepKey(step, ordinal)
    const request = this.#request
    try {
      const known = this.#steps().get(key)
      if (known?.output != null || this.#recording.has(key)) return
      const failures = (known?.failures ?? 0) + 1
      await this.#journal.persist({ is: 'step-failed', at: Date.now(), request, step, ordinal, failures, message })
    } finally {
      this.#leave(run, key)
    }
  }

  /** Whoever ran these is no more. */
  lost(run: StepRun): void {
    for (const [key, running] of this.#running) if (running.run === run) this.#leave(run, key)
  }

  #leave(run: StepRun, key: string): void {
    const running = this.#running.get(key)
    if (running?.run !== run) return
    this.#running.delete(key)
    running.over.resolve()
  }

  #steps(): ReadonlyMap<string, { readonly output: Uint8Array | null; readonly failures: number }> {
    const request = this.#journal.state.pending.get(this.#request)
    if (request === undefined || this.#isOver) {
      throw new LiminalError('ABORTED', 'The request of this step is settled: its steps are not recorded any more.')
    }
    return request.steps
  }

  /** Stable, and of nothing else: what it is made of cannot be guessed from it. */
  #token(step: string, ordinal: number): string {
    const { instance } = this.#journal.state.opened
    const text = JSON.stringify([instance, this.#request, step, ordinal])
    return createHash('sha256').update(text).digest('hex').slice(0, TOKEN_DIGITS)
  }

  #tooMany(): LiminalError {
    const message = `A request has ${MOST_STEPS} steps at most. Do more in each, or make several requests of it.`
    return new LiminalError('LIMIT_EXCEEDED', message)
  }
}

/** What one attempt does at the steps of its request. */
class StepRun implements MessageSteps {
  readonly #steps: RequestSteps

  constructor(steps: RequestSteps) {
    this.#steps = steps
  }

  begin(step: string, ordinal: number): Promise<StepStart> {
    return this.#steps.begin(this, step, ordinal)
  }

  complete(step: string, ordinal: number, output: Uint8Array): Promise<Uint8Array> {
    return this.#steps.complete(this, step, ordinal, output)
  }

  fail(step: string, ordinal: number, message: string): Promise<void> {
    return this.#steps.fail(this, step, ordinal, message)
  }

  lost(): void {
    this.#steps.lost(this)
  }
}
