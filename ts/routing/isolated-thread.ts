import { readFile } from 'node:fs/promises'
import type { Piscina } from 'piscina'
import { LiminalError } from '../errors.ts'
import { waitFor } from '../waiting.ts'
import { sourceHash } from './source-hash.ts'

/** How a call in a thread ended. `lost`: the thread is gone, and the call with it. */
export type ThreadResult =
  | { readonly is: 'answered'; readonly value: unknown }
  | { readonly is: 'threw'; readonly cause: unknown }
  | { readonly is: 'lost'; readonly cause: unknown }
  | { readonly is: 'timed-out' }

/** What a thread runs and may use. */
export interface ThreadOptions {
  /** The module, a file. Its default export is the function. */
  readonly module: URL
  /** SHA-256 that the module's text must have. */
  readonly hash: string
  /** Mebibytes of heap, past which the thread is ended. */
  readonly memoryMb: number
  /** Milliseconds that loading the module may take. */
  readonly loadMs: number
  /** Called once if a thread that was started is lost, whatever it is at. */
  readonly lost: (thread: IsolatedThread) => void
}

/** A call that every thread can answer without a module of ours: it comes back once the thread has loaded what it is to run. */
const PROBE = { filename: 'node:path', name: 'basename' }

/**
 * One worker thread that runs one function, one call at a time. A call that takes too long ends with the thread: nothing else stops a loop. A thread that is lost stays so;
 * its owner starts another.
 */
export class IsolatedThread {
  /** A pool of one: it brings the thread's program and the messages. It never starts a second thread, which nobody would have checked. */
  readonly #pool: Piscina<unknown, unknown>
  #tellLost: ((thread: IsolatedThread) => void) | null = null
  #isLost = false
  #lostBy: unknown
  #stopped: Promise<void> | null = null

  /** @throws LiminalError `ROUTING_FAILED` (as a rejection) if the module's text is not the one with this hash; else what loading it throws. */
  static async start(options: ThreadOptions): Promise<IsolatedThread> {
    await verify(options)
    const thread = new IsolatedThread(await poolOfOne(options))
    try {
      await thread.#load(options.loadMs)
      // Read before and after: what the thread loaded in between is this very text.
      await verify(options)
      // It may have ended while that was read.
      if (thread.#isLost) throw thread.#lostBy
      thread.#tellLost = options.lost
      return thread
    } catch (error) {
      await thread.stop()
      throw error
    }
  }

  private constructor(pool: Piscina<unknown, unknown>) {
    this.#pool = pool
    // The thread itself is watched: it says more, and says it for every way to end.
    this.#pool.on('error', (error: unknown) => this.#lose(error))
  }

  /** Runs one call. Never rejects. Not to be called once the thread is lost. @param timeoutMs after which it is ended. */
  run(task: unknown, timeoutMs: number): Promise<ThreadResult> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve({ is: 'timed-out' })
        void this.stop()
      }, timeoutMs)
      this.#pool.run(task).then(
        (value) => {
          clearTimeout(timer)
          resolve({ is: 'answered', value })
        },
        (cause: unknown) => {
          clearTimeout(timer)
          resolve({ is: this.#isLost ? 'lost' : 'threw', cause: this.#lostBy ?? cause })
        },
      )
    })
  }

  /** Ends the thread, whatever it is at. Resolves when it has ended. */
  stop(): Promise<void> {
    this.#stopped ??= this.#pool.destroy()
    return this.#stopped
  }

  #load(loadMs: number): Promise<unknown> {
    const loaded = this.#pool.run('', PROBE)
    const ended = new Promise<never>((_, reject) => {
      const lose = (cause: unknown): void => {
        this.#lose(cause)
        reject(cause)
      }
      // The pool has begun to start its thread for this call.
      for (const worker of this.#pool.threads) {
        worker.once('error', lose)
        worker.once('exit', (code) => lose(new LiminalError('ROUTING_FAILED', `The thread ended with code ${code}.`)))
      }
    })
    return waitFor(Promise.race([loaded, ended]), { timeoutMs: loadMs, what: 'Loading the routing module' })
  }

  #lose(cause: unknown): void {
    if (this.#isLost) return
    this.#isLost = true
    this.#lostBy = cause
    this.#tellLost?.(this)
  }
}

/** Starts no thread yet. The package is loaded with the first pool: most buses isolate nothing. */
async function poolOfOne({ module, memoryMb }: ThreadOptions): Promise<Piscina<unknown, unknown>> {
  const { Piscina } = await import('piscina')
  return new Piscina<unknown, unknown>({
    filename: module.href,
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    recordTiming: false,
    resourceLimits: { maxOldGenerationSizeMb: memoryMb },
  })
}

async function verify({ module, hash }: ThreadOptions): Promise<void> {
  if (sourceHash(await readFile(module)) === hash) return
  const message = `The module ${module.pathname} has changed since it was deployed. Deploy it again.`
  throw new LiminalError('ROUTING_FAILED', message)
}
