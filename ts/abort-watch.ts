/** One listener on one signal, and everybody who wants to hear of it, in the order in which they came. */
class AbortWatch {
  readonly #signal: AbortSignal
  readonly #callbacks = new Set<() => void>()

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  add(callback: () => void): void {
    if (this.#callbacks.size === 0) this.#signal.addEventListener('abort', this.#tell, { once: true })
    this.#callbacks.add(callback)
  }

  remove(callback: () => void): void {
    if (!this.#callbacks.delete(callback)) return
    if (this.#callbacks.size === 0) this.#signal.removeEventListener('abort', this.#tell)
  }

  readonly #tell = (): void => {
    for (const callback of [...this.#callbacks]) {
      // One that was told before may have withdrawn it.
      if (!this.#callbacks.delete(callback)) continue
      try {
        callback()
      } catch (error) {
        // As with listeners of its own for each: what one throws reaches the process, and not the others.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}

const watches = new WeakMap<AbortSignal, AbortWatch>()

/**
 * Calls back when a signal aborts, at most once; a signal that is aborted already tells nobody. However many callbacks there are, the signal has one listener: Node takes more
 * than ten for a leak and says so, and one signal may well stand behind thousands of calls. Returns what withdraws the callback.
 *
 * @param callback must be different each time.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  if (signal.aborted) return () => {}
  let watch = watches.get(signal)
  if (watch === undefined) {
    watch = new AbortWatch(signal)
    watches.set(signal, watch)
  }
  const found = watch
  found.add(callback)
  return () => found.remove(callback)
}
