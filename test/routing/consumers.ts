import { type ChildProcess, fork } from 'node:child_process'
import { Deferred } from '../../ts/deferred.ts'
import { LiminalError } from '../../ts/errors.ts'
import type { Consumer, ConsumerExit, DeliveryContext, ExitListener } from '../../ts/routing/index.ts'

/** A message that a {@link TestConsumer} got. */
export interface Received {
  readonly message: unknown
  readonly context: DeliveryContext
  complete(value?: unknown): void
  reject(error: unknown): void
}

export const KILLED: ConsumerExit = { is: 'killed', cause: undefined }
export const NORMAL: ConsumerExit = { is: 'normal', cause: undefined }

/** A consumer that does what the test says, and nothing by itself. */
export class TestConsumer implements Consumer {
  readonly id: string
  readonly capacity: number
  readonly tags: readonly string[]
  readonly received: Received[] = []
  readonly listeners = new Set<ExitListener>()
  onDelivery: (received: Received) => void = () => {}
  #exit: ConsumerExit | null = null
  #expected: { readonly count: number; readonly deferred: Deferred<void> } | null = null

  constructor(id: string, options: { readonly capacity?: number; readonly tags?: readonly string[] } = {}) {
    this.id = id
    this.capacity = options.capacity ?? 1
    this.tags = options.tags ?? []
  }

  get messages(): unknown[] {
    return this.received.map(({ message }) => message)
  }

  deliver(message: unknown, context: DeliveryContext): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const received = { message, context, complete: resolve, reject }
      this.received.push(received)
      this.onDelivery(received)
      if (this.#expected !== null && this.received.length >= this.#expected.count) this.#expected.deferred.resolve()
    })
  }

  onExit(listener: ExitListener): () => void {
    if (this.#exit !== null) {
      listener(this.#exit)
      return () => {}
    }
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  /** Resolves once it got so many messages. */
  async got(count: number): Promise<Received> {
    if (this.received.length < count) {
      this.#expected = { count, deferred: new Deferred() }
      await this.#expected.deferred.promise
    }
    return this.received[count - 1]
  }

  end(exit: ConsumerExit = KILLED): void {
    this.#exit = exit
    for (const listener of [...this.listeners]) listener(exit)
    this.listeners.clear()
  }
}

/** A consumer that completes everything at once with its id. */
export function completing(id: string, options?: ConstructorParameters<typeof TestConsumer>[1]): TestConsumer {
  const consumer = new TestConsumer(id, options)
  consumer.onDelivery = ({ complete }) => complete(id)
  return consumer
}

/** A consumer in a process of its own: its death is the exit. */
export class ProcessConsumer implements Consumer<string, string> {
  readonly id: string
  readonly capacity = 4
  readonly process: ChildProcess
  readonly kept = new Deferred<void>()
  readonly #pending = new Map<number, (value: string) => void>()
  #number = 0

  constructor(id: string) {
    this.id = id
    this.process = fork(new URL('./modules/worker-process.mjs', import.meta.url), { execArgv: [] })
    this.process.on('message', ({ number, is, value }: { number: number; is: string; value: string }) => {
      if (is === 'kept') this.kept.resolve()
      else this.#pending.get(number)?.(value)
    })
  }

  deliver(message: string, { attempt }: DeliveryContext): Promise<string> {
    return new Promise((resolve) => {
      const number = ++this.#number
      this.#pending.set(number, resolve)
      this.process.send({ number, message, attempt })
    })
  }

  onExit(listener: ExitListener): () => void {
    const hear = (code: number | null, signal: NodeJS.Signals | null): void => {
      listener({ is: code === 0 ? 'normal' : 'noconnection', cause: signal ?? code })
    }
    this.process.once('exit', hear)
    return () => this.process.off('exit', hear)
  }
}

/** What a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<LiminalError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  if ('error' in outcome && outcome.error instanceof LiminalError) return outcome.error
  throw new Error(`It should have rejected with a LiminalError: ${JSON.stringify(outcome)}`)
}
