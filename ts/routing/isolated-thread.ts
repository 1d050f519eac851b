import { readFile } from 'node:fs/promises'
import { LiminalError } from '../errors.ts'
import { exitKilled, exitNormal, type ProcessSystem, Thread, thrownInThread } from '../process/index.ts'
import { sourceHash } from './source-hash.ts'

/** How a call in a thread ended. `lost`: the thread is gone, and the call with it. */
export type ThreadResult =
  | { readonly is: 'answered'; readonly value: unknown }
  | { readonly is: 'threw'; readonly cause: unknown }
  | { readonly is: 'lost'; readonly cause: unknown }
  | { readonly is: 'timed-out' }

/** What a thread runs and may use. */
export interface IsolatedThreadOptions {
  /** The module, a file. Its default export is the function. */
  readonly module: URL
  /** SHA-256 that the module's text must have. */
  readonly hash: string
  /** Mebibytes of heap, past which the thread is ended. */
  readonly memoryMb: number
  /** Milliseconds to start and load the module. */
  readonly loadMs: number
  /** Called once if a thread that was started is lost, whatever it is at. */
  readonly lost: (thread: IsolatedThread, why: unknown) => void
}

/**
 * One worker thread that runs one function, one call at a time. A call that takes too long ends with the thread: nothing else stops a loop. A thread that is lost stays so;
 * its owner starts another.
 */
export class IsolatedThread {
  readonly #thread: Thread

  /** @throws LiminalError `ROUTING_FAILED` (as a rejection) if the module's text is not the one with this hash; else what loading it throws. */
  static async start(processes: ProcessSystem, options: IsolatedThreadOptions): Promise<IsolatedThread> {
    await verify(options)
    const { module, memoryMb, loadMs } = options
    const thread = new Thread(processes, { module, memoryMb, loadMs, name: 'routing' })
    const isolated = new IsolatedThread(thread)
    try {
      await thread.ready
      // Read before and after: what the thread loaded in between is this very text.
      await verify(options)
      // It may have ended while that was read.
      if (thread.process.over !== null) throw thread.process.over.reason.cause
    } catch (error) {
      await isolated.stop()
      throw error
    }
    processes.monitor(thread.process, ({ reason }) => {
      if (reason.is !== 'normal')
        options.lost(isolated, reason.cause ?? new LiminalError('PROCESS_GONE', `The thread was ended (${reason.is}).`))
    })
    return isolated
  }

  private constructor(thread: Thread) {
    this.#thread = thread
  }

  /** Runs one call. Never rejects. Not to be called once the thread is lost. @param timeoutMs after which it is ended. */
  run(task: unknown, timeoutMs: number): Promise<ThreadResult> {
    return new Promise((resolve) => {
      const settle = (result: ThreadResult): void => {
        clearTimeout(timer)
        resolve(result)
      }
      const timer = setTimeout(() => {
        resolve({ is: 'timed-out' })
        this.#thread.process.exit(exitKilled())
      }, timeoutMs)
      try {
        this.#thread.call(
          { request: task, context: {}, inParts: false },
          {
            returned: (value) => settle({ is: 'answered', value }),
            threw: (thrown) => settle({ is: 'threw', cause: thrownInThread(thrown) }),
            lost: ({ cause }) => settle({ is: 'lost', cause }),
            ended: (value) => settle({ is: 'answered', value }),
            inParts: () => settle({ is: 'answered', value: undefined }),
            part: () => {},
          },
        )
      } catch (cause) {
        settle({ is: 'threw', cause })
      }
    })
  }

  /** Ends the thread, whatever it is at. Resolves when it has ended. */
  async stop(): Promise<void> {
    this.#thread.process.exit(exitNormal())
    await this.#thread.terminated
  }
}

async function verify({ module, hash }: IsolatedThreadOptions): Promise<void> {
  if (sourceHash(await readFile(module)) === hash) return
  const message = `The module ${module.pathname} has changed since it was deployed. Deploy it again.`
  throw new LiminalError('ROUTING_FAILED', message)
}
