/**
 * SipHash-2-4 with 128 bits, bit for bit what the native index computes: hashes are stored, and must be found again on a machine that has no addon. A u64 is two int32, low half first.
 */
export class ClaimHash {
  /** The state after the secret. */
  readonly #keyed = new Int32Array(8)
  /** The state after the secret and the scope. */
  readonly #scoped = new Int32Array(8)
  readonly #state = new Int32Array(8)

  /** `secret` has 16 bytes. */
  constructor(secret: Uint8Array) {
    const key = new DataView(secret.buffer, secret.byteOffset, 16)
    const [low0, high0, low1, high1] = [0, 4, 8, 12].map((at) => key.getInt32(at, true))
    this.#keyed.set([
      ...[low0 ^ 0x70736575, high0 ^ 0x736f6d65, low1 ^ 0x6e646f6d ^ 0xee, high1 ^ 0x646f7261],
      ...[low0 ^ 0x6e657261, high0 ^ 0x6c796765, low1 ^ 0x79746573, high1 ^ 0x74656462],
    ])
  }

  /** Sets the 16 bytes that go before every key. */
  scope(scope: Uint8Array): void {
    this.#scoped.set(this.#keyed)
    absorb(this.#scoped, word(scope, 0), word(scope, 4))
    absorb(this.#scoped, word(scope, 8), word(scope, 12))
  }

  /** Writes the 16 bytes of a key's hash to `target`. */
  hash(bytes: Uint8Array, start: number, length: number, target: DataView, offset: number): void {
    const state = this.#state
    state.set(this.#scoped)
    const whole = start + (length & ~7)
    for (let at = start; at < whole; at += 8) absorb(state, word(bytes, at), word(bytes, at + 4))
    // What is left, and the length of scope and key in the last byte.
    let low = 0
    let high = ((length + 16) & 0xff) << 24
    for (let left = length & 7; left > 0; left--) {
      const byte = bytes[whole + left - 1]
      if (left > 4) high |= byte << (8 * (left - 5))
      else low |= byte << (8 * (left - 1))
    }
    absorb(state, low, high)
    state[4] ^= 0xee
    rounds(state, 4)
    target.setInt32(offset, state[0] ^ state[2] ^ state[4] ^ state[6], true)
    target.setInt32(offset + 4, state[1] ^ state[3] ^ state[5] ^ state[7], true)
    state[2] ^= 0xdd
    rounds(state, 4)
    target.setInt32(offset + 8, state[0] ^ state[2] ^ state[4] ^ state[6], true)
    target.setInt32(offset + 12, state[1] ^ state[3] ^ state[5] ^ state[7], true)
  }
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
}

function absorb(state: Int32Array, low: number, high: number): void {
  state[6] ^= low
  state[7] ^= high
  rounds(state, 2)
  state[0] ^= low
  state[1] ^= high
}

function rounds(state: Int32Array, count: number): void {
  let [low0, high0, low1, high1] = [state[0], state[1], state[2], state[3]]
  let [low2, high2, low3, high3] = [state[4], state[5], state[6], state[7]]
  for (let round = 0; round < count; round++) {
    let low = (low0 + low1) | 0
    let high = (high0 + high1 + (low >>> 0 < low1 >>> 0 ? 1 : 0)) | 0
    const turned1 = (low1 << 13) | (high1 >>> 19)
    high1 = ((high1 << 13) | (low1 >>> 19)) ^ high
    low1 = turned1 ^ low
    // Rotated by 32: the halves change places.
    low0 = high
    high0 = low

    low = (low2 + low3) | 0
    high = (high2 + high3 + (low >>> 0 < low3 >>> 0 ? 1 : 0)) | 0
    const turned3 = (low3 << 16) | (high3 >>> 16)
    high3 = ((high3 << 16) | (low3 >>> 16)) ^ high
    low3 = turned3 ^ low
    low2 = low
    high2 = high

    low = (low0 + low3) | 0
    high = (high0 + high3 + (low >>> 0 < low3 >>> 0 ? 1 : 0)) | 0
    const again3 = (low3 << 21) | (high3 >>> 11)
    high3 = ((high3 << 21) | (low3 >>> 11)) ^ high
    low3 = again3 ^ low
    low0 = low
    high0 = high

    low = (low2 + low1) | 0
    high = (high2 + high1 + (low >>> 0 < low1 >>> 0 ? 1 : 0)) | 0
    const again1 = (low1 << 17) | (high1 >>> 15)
    high1 = ((high1 << 17) | (low1 >>> 15)) ^ high
    low1 = again1 ^ low
    low2 = high
    high2 = low
  }
  state[0] = low0
  state[1] = high0
  state[2] = low1
  state[3] = high1
  state[4] = low2
  state[5] = high2
  state[6] = low3
  state[7] = high3
}
