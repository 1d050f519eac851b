import { randomUUID } from 'node:crypto'
import { checkFunction, checkName } from '../arguments.ts'
import { decodePayload, encodePayload } from '../payload.ts'
import { textOf } from '../thrown.ts'

/** What a step is told. */
export interface StepContext {
  /**
   * The same for every run of this step of this request, and for nothing else: a crash after the effect and before its record runs the step again, and whoever has the effect
   * can tell by this.
   */
  readonly token: string
  /** 1, and one more for each failure of this step that was recorded. */
  readonly attempt: number
}

/** Runs a step of a request once, see `BehaviourContext.step`. */
export type StepFunction = <Value>(
  name: string,
  run: (step: StepContext) => Value | PromiseLike<Value>,
) => Promise<Value>

/** How a step begins: it was completed before, or it is to be run. */
export type StepStart =
  | { readonly is: 'done'; readonly output: Uint8Array }
  | { readonly is: 'run'; readonly token: string; readonly attempt: number }

/** Where the steps of one attempt of a durable request are recorded. Outputs are JSON text; an empty one is `undefined`. */
export interface MessageSteps {
  /** Waits for a run of the same step that is underway. @throws LiminalError `ABORTED`: the request is settled; `LIMIT_EXCEEDED`. */
  begin(step: string, ordinal: number): Promise<StepStart>
  /** It is done. Resolves, once that is stored, with the output that counts. @throws LiminalError `ABORTED`, `PAYLOAD_TOO_LARGE`, `SEQUENCE_CONFLICT`, `CLOSED`. */
  complete(step: string, ordinal: number, output: Uint8Array): Promise<Uint8Array>
  /** It threw. Resolves once that is stored. */
  fail(step: string, ordinal: number, message: string): Promise<void>
  /** Whoever was at them is no more: others need not wait for them. */
  lost(): void
}

const LONGEST_MESSAGE = 1_024

/** Runs the steps of one message: those of a durable conversation once each, others as they come. */
export class StepRunner {
  readonly #steps: MessageSteps | null
  /** Which ordinals are free, by the name of the steps: those from `next` on, and those that failed. */
  readonly #places = new Map<string, { next: number; readonly freed: number[] }>()

  /** @param steps `null`: nothing is recorded. */
  constructor(steps: MessageSteps | null) {
    this.#steps = steps
  }

  /** @throws LiminalError `INVALID_ARGUMENT`, what the step throws, and like {@link MessageSteps}. */
  async run<Value>(name: string, run: (step: StepContext) => Value | PromiseLike<Value>): Promise<Value> {
    checkName('name', name)
    checkFunction('run', run)
    const steps = this.#steps
    if (steps === null) return await run({ token: randomUUID(), attempt: 1 })
    const ordinal = this.#take(name)
    try {
      // What is read back is what was returned, as far as JSON goes.
      return readOutput(await this.#once(steps, name, ordinal, run)) as Value
    } catch (error) {
      // It is run again when it is asked for again.
      this.#free(name, ordinal)
      throw error
    }
  }

  async #once(
    steps: MessageSteps,
    name: string,
    ordinal: number,
    run: (step: StepContext) => unknown,
  ): Promise<Uint8Array> {
    const start = await steps.begin(name, ordinal)
    if (start.is === 'done') return start.output
    let output: Uint8Array
    try {
      const value = await run({ token: start.token, attempt: start.attempt })
      output = value === undefined ? NOTHING : encodePayload(value, 'json')
    } catch (thrown) {
      await steps.fail(name, ordinal, textOf(thrown).slice(0, LONGEST_MESSAGE))
      throw thrown
    }
    return await steps.complete(name, ordinal, output)
  }

  /** Calls count in the order in which they are made; a failed one leaves its place to the next. */
  #take(name: string): number {
    let places = this.#places.get(name)
    if (places === undefined) {
      places = { next: 0, freed: [] }
      this.#places.set(name, places)
    }
    return places.freed.shift() ?? places.next++
  }

  #free(name: string, ordinal: number): void {
    const freed = this.#places.get(name)?.freed
    freed?.push(ordinal)
    freed?.sort((one, other) => one - other)
  }
}

const NOTHING = new Uint8Array(0)

function readOutput(output: Uint8Array): unknown {
  return output.length === 0 ? undefined : decodePayload(output, 'json')
}
