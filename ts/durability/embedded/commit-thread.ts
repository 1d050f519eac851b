import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { Deferred } from '../../deferred.ts'
import { Deque } from '../../deque.ts'
import { LiminalError } from '../../errors.ts'
import type {
  CommitEnd,
  CommitThreadData,
  FailureInThread,
  FromCommitThread,
  RefusedWrite,
  ToCommitThread,
} from './commit-messages.ts'
import { COMMIT_PROGRAM } from './commit-program.ts'

/** Where the thread finds `lmdb`: it has no file from whose place it could be looked for. */
const LMDB = createRequire(import.meta.url).resolve('lmdb')

/** Hears what becomes of the writes that were handed over, in their order. */
export interface CommitObserver {
  /** The next `writes` are durable, but for those refused. `streams`: how many there are now. `memory` was handed over with some of them, and is not needed any more. */
  committed(writes: number, refused: readonly RefusedWrite[], streams: number, memory: ArrayBuffer): void
  /** The next `writes` have failed: nothing of them was kept, unless the commits have come to an end. */
  failed(writes: number, failure: FailureInThread, end: CommitEnd | null): void
  /** The thread is gone, by itself: nothing more is heard of what was handed over. */
  lost(cause: unknown): void
}

/** The thread that commits, seen from outside. It does not keep the program alive while nothing is asked of it. */
export class CommitThread {
  readonly #worker: Worker
  readonly #observer: CommitObserver
  readonly #ready = new Deferred<void>()
  readonly #ended = new Deferred<void>()
  /** Who waits for a flush, or for the close behind them, in the order in which they asked. */
  readonly #flushes = new Deque<Deferred<FailureInThread | null>>()
  #underway = 1
  #isOver = false

  constructor(data: Omit<CommitThreadData, 'lmdb'>, observer: CommitObserver) {
    this.#observer = observer
    const workerData: CommitThreadData = { ...data, lmdb: LMDB }
    this.#worker = new Worker(COMMIT_PROGRAM, { eval: true, execArgv: [], name: 'liminal-store', workerData })
    this.#worker.on('message', (message: FromCommitThread) => this.#heard(message))
    this.#worker.once('error', (error) => this.#over(error))
    this.#worker.once('exit', (code) => {
      this.#over(new LiminalError('STORE_FAILED', `The thread of the store ended with code ${code}, by itself.`))
      this.#ended.resolve()
    })
  }

  /** Resolves once it has opened the file. @throws what prevented it: {@link ThreadFailure}, or what was thrown. */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Hands writes over; the bytes are the thread's from now on. */
  write(bytes: ArrayBuffer, count: number): void {
    this.#post({ is: 'writes', bytes, count }, [bytes])
    this.#hold(count)
  }

  /** Resolves with `null` once everything handed over before is on disk, else with what prevented it. */
  flush(): Promise<FailureInThread | null> {
    return this.#ask({ is: 'flush' })
  }

  /** Commits and syncs what was handed over, and ends the thread. */
  async close(): Promise<FailureInThread | null> {
    const failure = await this.#ask({ is: 'close' })
    // Nothing is asked of it any more, and yet the program has to see its end.
    this.#worker.ref()
    await this.#ended.promise
    return failure
  }

  #ask(message: ToCommitThread): Promise<FailureInThread | null> {
    const answered = new Deferred<FailureInThread | null>()
    if (this.#isOver) answered.resolve({ message: 'The thread of the store is gone.', code: null })
    else {
      this.#post(message, [])
      this.#flushes.push(answered)
      this.#hold(1)
    }
    return answered.promise
  }

  #post(message: ToCommitThread, transferred: ArrayBuffer[]): void {
    this.#worker.postMessage(message, transferred)
  }

  #heard(message: FromCommitThread): void {
    switch (message.is) {
      case 'ready':
        this.#release(1)
        this.#ready.resolve()
        break
      case 'unfit':
        this.#ready.reject(new ThreadFailure(message.failure))
        break
      case 'committed':
        this.#release(message.writes)
        this.#observer.committed(message.writes, message.refused, message.streams, message.memory)
        break
      case 'failed':
        this.#release(message.writes)
        this.#observer.failed(message.writes, message.failure, message.end)
        break
      case 'closed':
        // Not let go of: the program waits for the thread's end.
        this.#isOver = true
        this.#flushes.shift()?.resolve(message.failure)
        break
      case 'flushed':
        this.#release(1)
        this.#flushes.shift()?.resolve(message.failure)
    }
  }

  #over(cause: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#ready.reject(cause)
    const failure = { message: cause instanceof Error ? cause.message : String(cause), code: null }
    for (let waits = this.#flushes.shift(); waits !== undefined; waits = this.#flushes.shift()) waits.resolve(failure)
    this.#observer.lost(cause)
  }

  #hold(count: number): void {
    if (this.#underway === 0) this.#worker.ref()
    this.#underway += count
  }

  #release(count: number): void {
    this.#underway -= count
    if (this.#underway === 0) this.#worker.unref()
  }
}

/** What failed in the thread. */
export class ThreadFailure extends Error {
  readonly failure: FailureInThread

  constructor(failure: FailureInThread) {
    super(failure.message)
    this.failure = failure
  }
}
