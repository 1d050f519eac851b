import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { FromStoreProcess, ToStoreProcess } from './store-process.ts'

/** How a process with a store has ended. */
export interface ChildEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A process with a store, from its parent's side. */
export class StoreChild {
  readonly #child: ChildProcess
  readonly #messages: FromStoreProcess[] = []
  #wake: () => void = () => {}
  #end: ChildEnd | null = null
  /** Hears every message at once. */
  onMessage: (message: FromStoreProcess) => void = () => {}

  constructor(execArgv: readonly string[] = []) {
    const program = new URL('./store-process.ts', import.meta.url)
    this.#child = fork(program, {
      execArgv: ['--import', 'tsx', ...execArgv],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#child.on('message', (message: FromStoreProcess) => {
      this.#messages.push(message)
      this.onMessage(message)
      this.#wake()
    })
    this.#child.once('exit', (code, signal) => {
      this.#end = { code, signal }
      this.#wake()
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  tell(message: ToStoreProcess): void {
    this.#child.send(message)
  }

  /** The next message of one of these kinds, others are dropped; how it ended, if it has. */
  async next(...kinds: FromStoreProcess['is'][]): Promise<FromStoreProcess | ChildEnd> {
    for (;;) {
      const message = this.#messages.shift()
      if (message !== undefined && kinds.includes(message.is)) return message
      if (message !== undefined) continue
      if (this.#end !== null) return this.#end
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** `kill -9`. Resolves once it is gone. */
  async kill(): Promise<void> {
    if (this.#end !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}
