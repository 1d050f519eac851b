import type { LoggedRun } from './log-reading.ts'

/** The newest runs of a log, so that who reads at its end does not read from disk what was just written. */
export class RecentRuns {
  readonly #maxBytes: number
  #runs: LoggedRun[] = []
  #bytes = 0

  /** @param maxBytes Of the runs' memory. A run that is larger by itself is not kept. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Takes the run behind the last one. */
  push(run: LoggedRun): void {
    this.#runs.push(run)
    this.#bytes += run.run.bytes.length
    let leave = 0
    while (this.#bytes > this.#maxBytes) {
      this.#bytes -= this.#runs[leave].run.bytes.length
      leave++
    }
    if (leave > 0) this.#runs = this.#runs.slice(leave)
  }

  /** Runs from a position on; empty if it is not among them. */
  from(position: bigint): readonly LoggedRun[] {
    const runs = this.#runs
    if (runs.length === 0 || position < runs[0].first) return []
    let index = runs.length - 1
    while (index > 0 && runs[index].first > position) index--
    const rest = runs.slice(index)
    const skipped = Number(position - rest[0].first)
    const { run, first, schemaId } = rest[0]
    if (skipped >= run.count) return []
    if (skipped > 0) {
      const part = { bytes: run.bytes, columns: run.columns, first: run.first + skipped, count: run.count - skipped }
      rest[0] = { run: part, first: first + BigInt(skipped), schemaId }
    }
    return rest
  }

  clear(): void {
    this.#runs = []
    this.#bytes = 0
  }
}
