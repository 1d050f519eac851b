import {
  type ExitReason,
  type ProcessSystem,
  Thread,
  type ThreadCall,
  type ThreadCallObserver,
  type ThreadOptions,
  type ThrownInThread,
} from '../../ts/process/index.ts'

export const module = (name: string): URL => new URL(`./thread-modules/${name}.mjs`, import.meta.url)

/** How a call in a thread ended. */
export type CallEnd =
  | { readonly is: 'returned' | 'ended'; readonly value: unknown }
  | { readonly is: 'threw'; readonly thrown: ThrownInThread }
  | { readonly is: 'lost'; readonly reason: ExitReason }
  | { readonly is: 'in-parts' }

/** A call that writes down what it hears. */
export class RecordedCall implements ThreadCallObserver {
  readonly parts: unknown[] = []
  readonly ends: CallEnd[] = []
  readonly over: Promise<CallEnd>
  call: ThreadCall | null = null
  onPart: () => void = () => {}
  #settle: (end: CallEnd) => void = () => {}

  constructor() {
    this.over = new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  returned(value: unknown): void {
    this.#end({ is: 'returned', value })
  }

  ended(value: unknown): void {
    this.#end({ is: 'ended', value })
  }

  threw(thrown: ThrownInThread): void {
    this.#end({ is: 'threw', thrown })
  }

  lost(reason: ExitReason): void {
    this.#end({ is: 'lost', reason })
  }

  inParts(): void {
    this.#end({ is: 'in-parts' })
  }

  part(value: unknown): void {
    this.parts.push(value)
    this.onPart()
  }

  /** Resolves once so many parts have come. */
  got(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.onPart = () => {
        if (this.parts.length >= count) resolve()
      }
      this.onPart()
    })
  }

  #end(end: CallEnd): void {
    this.ends.push(end)
    this.#settle(end)
  }
}

/** Calls a thread. */
export function call(thread: Thread, request: unknown, inParts = false): RecordedCall {
  const recorded = new RecordedCall()
  recorded.call = thread.call({ request, context: {}, inParts }, recorded)
  return recorded
}

/** What a thread answers. */
export async function answer(thread: Thread, request: unknown): Promise<unknown> {
  const end = await call(thread, request).over
  if (end.is !== 'returned') throw new Error(`It did not answer: ${JSON.stringify(end)}`)
  return end.value
}

/** A thread that is ready. */
export async function start(
  processes: ProcessSystem,
  name = 'scripted',
  options: Partial<ThreadOptions> = {},
): Promise<Thread> {
  const thread = new Thread(processes, { module: module(name), ...options })
  await thread.ready
  return thread
}
