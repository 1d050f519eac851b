import type { CausalContext } from '../protocol/index.ts'

/** A message on its way through a consumer group. */
export class Work {
  /** Owned by it: it may be delivered more than once. */
  readonly payload: Uint8Array
  readonly causal: CausalContext
  #value: unknown
  #isDecoded = false

  constructor(payload: Uint8Array, causal: CausalContext) {
    this.payload = payload
    this.causal = causal
  }

  /** The payload as routing functions see it: decoded where it is JSON, else the bytes. */
  get value(): unknown {
    if (!this.#isDecoded) {
      this.#isDecoded = true
      this.#value = decoded(this.payload)
    }
    return this.#value
  }
}

function decoded(payload: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString())
  } catch {
    // It may be no JSON at all: those are routed too.
    return payload
  }
}
