import type { MessageSteps, StepStart } from '../conversation/index.ts'
import { Deferred } from '../deferred.ts'
import { isErrorCode, LiminalError } from '../errors.ts'
import { ownBytes } from '../payload.ts'
import { type Headed, readStepAnswer, type StepAnswer, type StepQuestion, withHead } from '../protocol/index.ts'

const NOTHING = new Uint8Array(0)

interface Answer {
  readonly answer: StepAnswer
  readonly output: Uint8Array
}

/** The steps of a request that is worked on here and recorded at the server (extension `DURABLE`). */
export class InboundSteps implements MessageSteps {
  readonly #send: (payload: Uint8Array) => LiminalError | null
  readonly #open = new Map<number, Deferred<Answer>>()
  #lastId = 0
  #over: LiminalError | null = null

  /** @param send sends what is said of a step, and returns what kept it from being sent. */
  constructor(send: (payload: Uint8Array) => LiminalError | null) {
    this.#send = send
  }

  async begin(name: string, ordinal: number): Promise<StepStart> {
    const { answer, output } = await this.#ask({ does: 'begin', name, ordinal }, NOTHING)
    if (answer.is === 'done') return { is: 'done', output }
    const { token, attempt } = answer
    if (token !== undefined && attempt !== undefined) return { is: 'run', token, attempt }
    throw new LiminalError('REMOTE_ERROR', `The server did not say how step '${name}' begins.`)
  }

  async complete(name: string, ordinal: number, output: Uint8Array): Promise<Uint8Array> {
    return (await this.#ask({ does: 'complete', name, ordinal }, output)).output
  }

  async fail(name: string, ordinal: number, message: string): Promise<void> {
    await this.#ask({ does: 'fail', name, ordinal, message }, NOTHING)
  }

  /** The server hears of it by the end of the connection. */
  lost(): void {}

  /** The server has answered. @throws LiminalError `PAYLOAD_INVALID`. */
  answered(headed: Headed): void {
    const answer = readStepAnswer(headed)
    if (answer === null) return
    const waiting = this.#open.get(answer.id)
    if (waiting === undefined) return
    this.#open.delete(answer.id)
    if (answer.is !== 'error') waiting.resolve({ answer, output: ownBytes(headed.payload) })
    else waiting.reject(errorOf(answer))
  }

  /** Nothing is recorded any more. */
  end(error: LiminalError): void {
    this.#over ??= error
    for (const waiting of this.#open.values()) waiting.reject(error)
    this.#open.clear()
  }

  async #ask(question: Omit<StepQuestion, 'id'>, output: Uint8Array): Promise<Answer> {
    if (this.#over !== null) throw this.#over
    this.#lastId++
    const id = this.#lastId
    const answer = new Deferred<Answer>()
    this.#open.set(id, answer)
    const failure = this.#send(withHead({ step: { id, ...question } }, output))
    if (failure !== null) {
      this.#open.delete(id)
      throw failure
    }
    return await answer.promise
  }
}

function errorOf({ code = '', message = 'The server could not record the step.' }: StepAnswer): LiminalError {
  return new LiminalError(isErrorCode(code) ? code : 'REMOTE_ERROR', message)
}
