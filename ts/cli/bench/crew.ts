import { randomInt } from 'node:crypto'
import { LiminalError } from '../../errors.ts'
import { Child, type Message } from '../child.ts'
import { usageError } from '../failure.ts'
import type { Assignment, ServerDown, ServerUp } from './messages.ts'
import type { BenchOptions } from './report.ts'
import { RunClock, SAMPLE_BYTES } from './sample.ts'

const DEFAULT_STALL_MS = 30_000

/** What the server process used, as of now. */
export interface Usage {
  readonly cpuMicroseconds: number
  readonly peakRssBytes: number
}

/** The processes of one run, and what ends it early: a signal, or a stall. */
export class Crew {
  readonly #options: BenchOptions
  readonly #sizes: readonly number[]
  readonly #children: { kill(): Promise<unknown> }[] = []
  readonly #arrived = new Map<object, number>()
  readonly #stopped: Promise<never>
  readonly #run = randomInt(2 ** 32 - 1)
  readonly #epoch = RunClock.epoch()
  #stop: (error: LiminalError) => void = () => undefined
  #stall: NodeJS.Timeout | null = null
  #server: Child<ServerDown, ServerUp> | null = null
  #url: string
  #serverCodec: string | null = null

  private constructor(options: BenchOptions, sizes: readonly number[]) {
    this.#options = options
    this.#sizes = sizes
    this.#url = options.url ?? ''
    this.#stopped = new Promise((_, reject) => {
      this.#stop = reject
    })
    // Nobody may be waiting at the moment it stops; the next one who waits is told.
    this.#stopped.catch(() => undefined)
  }

  /** Runs `work` with a crew, and ends all its processes whatever happened. */
  static async run<T>(options: BenchOptions, sizes: readonly number[], work: (crew: Crew) => Promise<T>): Promise<T> {
    checkOptions(options)
    const crew = new Crew(options, sizes)
    const { signal } = options
    const abort = () =>
      crew.#stop(new LiminalError('ABORTED', 'the benchmark was interrupted', { cause: signal?.reason }))
    signal?.addEventListener('abort', abort, { once: true })
    try {
      if (signal?.aborted === true) abort()
      await crew.orStopped(crew.#startServer())
      return await crew.orStopped(work(crew))
    } finally {
      signal?.removeEventListener('abort', abort)
      if (crew.#stall !== null) clearTimeout(crew.#stall)
      await Promise.all(crew.#children.map((child) => child.kill()))
    }
  }

  /** Which codec the server uses; null with a server that runs elsewhere. */
  get serverCodec(): string | null {
    return this.#serverCodec
  }

  /** What every process that connects is told. */
  get assignment(): Assignment {
    return {
      url: this.#url,
      authToken: this.#options.authToken ?? null,
      name: this.#options.name ?? 'bench',
      run: this.#run,
      size: this.#options.size,
      sizes: this.#sizes,
      epoch: this.#epoch,
    }
  }

  /** Starts a process of the crew. */
  start<Down extends Message, Up extends Message>(name: string, module: string): Child<Down, Up> {
    const child = Child.start<Down, Up>(name, new URL(module, import.meta.url))
    this.#children.push(child)
    return child
  }

  /** The server's usage so far, or null with a server that runs elsewhere. */
  async usage(): Promise<Usage | null> {
    return this.#server === null ? null : this.#server.request({ type: 'usage' }, 'usage')
  }

  /** Counts an advance of one process; the run stalls where no more come. */
  advanced(process: object, received: number, expected: number): void {
    if (this.#arrived.get(process) === received) return
    this.#arrived.set(process, received)
    this.watch()
    let arrived = 0
    for (const count of this.#arrived.values()) arrived += count
    this.#options.onProgress?.(arrived, expected)
  }

  /** Starts the watch for a stall, or starts it again. */
  watch(): void {
    if (this.#stall !== null) clearTimeout(this.#stall)
    const limit = this.#options.stallMs ?? DEFAULT_STALL_MS
    const stalled = () =>
      this.#stop(new LiminalError('TIMEOUT', `the benchmark stalled: nothing arrived within ${limit} ms`))
    this.#stall = setTimeout(stalled, limit)
  }

  /** A promise, or what stopped the run before it. */
  orStopped<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#stopped])
  }

  async #startServer(): Promise<void> {
    if (this.#options.url !== null) return
    this.#server = this.start<ServerDown, ServerUp>('server', './server-process.js')
    const { url, codec } = await this.#server.expect('listening')
    this.#url = url
    this.#serverCodec = codec
  }
}

function checkOptions({ messages, size, publishers, subscribers, inFlight }: BenchOptions): void {
  for (const [name, value] of Object.entries({ messages, publishers, subscribers, inFlight })) {
    if (!Number.isSafeInteger(value) || value < 1) throw usageError(`${name} must be a whole number of at least 1`)
  }
  if (!Number.isSafeInteger(size) || size < SAMPLE_BYTES) {
    throw usageError(`size must be at least ${SAMPLE_BYTES} bytes: what tells one message from another needs them`)
  }
  if (messages < publishers) throw usageError(`${messages} messages are not enough for ${publishers} publishers`)
  if (messages > 2 ** 32) throw usageError('messages must be at most 4,294,967,296: they are told apart by 32 bits')
  if (publishers > 2 ** 16) throw usageError('publishers must be at most 65,536: they are told apart by 16 bits')
}
