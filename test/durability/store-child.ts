import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { EmbeddedStoreOptions } from '../../ts/durability/index.ts'

const PROGRAM = fileURLToPath(new URL('./store-process.mjs', import.meta.url))
const BUILT = new URL('../../dist/durability/index.js', import.meta.url)

export type ToStoreProcess =
  /** Opens a store and keeps it. */
  | { readonly is: 'open'; readonly options: EmbeddedStoreOptions }
  /** Appends to these streams in turn, for ever, and says of each stream what was acknowledged. */
  | { readonly is: 'append'; readonly streams: readonly string[] }
  /** Opens a store, reads all of it, writes to it, opens and reads it again, and closes it. */
  | { readonly is: 'examine'; readonly options: EmbeddedStoreOptions }
  /** Takes leave of its parent, opens a store, writes to it, and closes it or not. With 7 it ends only if the store was closed. */
  | { readonly is: 'leave'; readonly options: EmbeddedStoreOptions; readonly close: boolean }

export type FromStoreProcess =
  | { readonly is: 'ready' | 'opened' }
  | { readonly is: 'acknowledged'; readonly stream: string; readonly next: string }
  | { readonly is: 'examined'; readonly before: string; readonly after: string }
  | { readonly is: 'failed'; readonly code: string; readonly message: string }

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

  constructor() {
    if (!existsSync(BUILT)) throw new Error('dist/durability/index.js is missing: run `npm run build` first')
    this.#child = fork(PROGRAM, { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
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
