/** Counts what became of each message: every one is to be completed once, and answers that came too late are not completions. */
export class Completions {
  #times = new Map()

  add(id) {
    this.#times.set(id, (this.#times.get(id) ?? 0) + 1)
  }

  /** Of the messages 0 to `count` - 1. */
  report(count) {
    let lost = 0
    let duplicates = 0
    for (let id = 0; id < count; id++) {
      const times = this.#times.get(id) ?? 0
      if (times === 0) lost++
      else duplicates += times - 1
    }
    return { completed: this.#times.size, lost, duplicates }
  }
}
