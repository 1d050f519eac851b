import type { Dispatch } from './dispatch.ts'
import type { Candidates, RoutingRequest } from './routing-function.ts'

/**
 * What the routing function is asked. A class: an object literal with a getter is given a hidden class of its own each time, which is old from birth and kept all that the dispatch
 * was made of alive (two fifths of the time of a dispatch went into that garbage).
 */
export class Question implements RoutingRequest {
  readonly key: string | null
  readonly attempt: number
  readonly consumers: Candidates
  readonly #message: unknown
  readonly #view: ((message: unknown) => unknown) | null

  constructor(dispatch: Dispatch, consumers: Candidates, view: ((message: unknown) => unknown) | null) {
    this.key = dispatch.terms.key
    this.attempt = dispatch.attempts + 1
    this.consumers = consumers
    this.#message = dispatch.message
    this.#view = view
  }

  get message(): unknown {
    return this.#view === null ? this.#message : this.#view(this.#message)
  }
}
