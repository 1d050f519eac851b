/** A promise and the two ways to settle it. Left alone it is no unhandled rejection: nobody has to look at it. */
export class Deferred<Value> {
  readonly promise: Promise<Value>
  #resolve: (value: Value) => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // Whoever takes the promise still gets the rejection.
    this.promise.catch(() => {})
  }

  /** Without effect if settled. */
  resolve(value: Value): void {
    this.#resolve(value)
  }

  /** Without effect if settled. */
  reject(error: unknown): void {
    this.#reject(error)
  }
}
