/** One listener on one signal, and everybody who wants to hear of it. */
class AbortWatch {
  readonly #signal: AbortSignal
  readonly #callbacks = new Set<() => void>()

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  add(callback: () => void): void {
    if (this.#callbacks.size === 0) this.#signal.addEventListener('abort', this.#tell)
    this.#callbacks.add(callback)
  }

  remove(callback: () => void): void {
    this.#callbacks.delete(callback)
    if (this.#callbacks.size === 0) this.#signal.removeEventListener('abort', this.#tell)
  }

  readonly #tell = (): void => {
    for (const callback of [...this.#callbacks]) callback()
  }
}

const watches = new WeakMap<AbortSignal, AbortWatch>()

/**
 * Calls back when a signal aborts. However many callbacks there are, the signal has one listener: Node takes more than ten for a leak and says so, and one signal may well
 * stand behind thousands of dispatches. Returns what withdraws the callback, which must be different each time.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  let watch = watches.get(signal)
  if (watch === undefined) {
    watch = new AbortWatch(signal)
    watches.set(signal, watch)
  }
  const found = watch
  found.add(callback)
  return () => found.remove(callback)
}
