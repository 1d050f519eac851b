type Listener = (next: bigint) => void

/** Who wants to hear of appends, by the text of the stream's encoded key. */
export class Watchers {
  readonly #byStream = new Map<string, Set<Listener>>()

  /** Whether nobody watches anything. */
  get isEmpty(): boolean {
    return this.#byStream.size === 0
  }

  add(stream: string, listener: Listener): () => void {
    // The same function may be given twice, and each time counts.
    const own: Listener = (next) => listener(next)
    const found = this.#byStream.get(stream)
    if (found === undefined) this.#byStream.set(stream, new Set([own]))
    else found.add(own)
    return () => {
      const listeners = this.#byStream.get(stream)
      if (listeners?.delete(own) && listeners.size === 0) this.#byStream.delete(stream)
    }
  }

  /** Tells those who were there before the first is told. What one throws reaches the process, and not the others. */
  tell(stream: string, next: bigint): void {
    const listeners = this.#byStream.get(stream)
    if (listeners === undefined) return
    for (const listener of [...listeners]) {
      if (!listeners.has(listener)) continue
      try {
        listener(next)
      } catch (error) {
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  clear(): void {
    this.#byStream.clear()
  }
}
