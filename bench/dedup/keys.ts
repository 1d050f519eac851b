import { Column, HEAD_WIDTH, ROW_WIDTH } from '../../ts/protocol/index.ts'

/** Keys of a run, and bytes of a key: as long as a UUID. */
export const RUN_KEYS = 64
export const KEY_BYTES = 36
/** Runs of a turn of the event loop: what a socket's chunk of 64 KiB brings. */
export const TURN_RUNS = 5
/** Bytes from one key to the next: as if they lay in frames of 202 bytes. */
const STRIDE = 202
const DIGITS = Buffer.from('0123456789abcdef')
const DASHES = [8, 13, 18, 23]

/** A run of keys as a scan leaves it: bytes, and where the keys are in them. Filled again and again. */
export class KeyRun {
  readonly bytes: Buffer
  readonly columns: Int32Array
  readonly count: number

  constructor(count = RUN_KEYS) {
    this.count = count
    this.bytes = Buffer.alloc(count * STRIDE, '-')
    this.columns = new Int32Array(HEAD_WIDTH + count * ROW_WIDTH)
    for (let row = 0; row < count; row++) {
      this.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.KEY] = row * STRIDE
      this.columns[HEAD_WIDTH + row * ROW_WIDTH + Column.KEY_LENGTH] = KEY_BYTES
    }
  }

  /** Makes the key of a row that of a number: always the same, and another one for every number. */
  set(row: number, number: number): void {
    // The number itself is in it, and around it digits that look random.
    let bits = mix(number)
    for (let digit = 0; digit < KEY_BYTES; digit++) {
      if (DASHES.includes(digit)) continue
      const own = digit >= 24 ? Math.floor(number / 16 ** (35 - digit)) & 15 : bits & 15
      this.bytes[row * STRIDE + digit] = DIGITS[own]
      bits = digit % 7 === 6 ? mix(bits ^ number) : bits >>> 4
    }
  }
}

function mix(number: number): number {
  let bits = Math.imul(number ^ (number >>> 16), 0x45d9f3b)
  bits = Math.imul(bits ^ (bits >>> 16), 0x45d9f3b)
  return (bits ^ (bits >>> 16)) >>> 0
}

/** Numbers that look random and are the same in every run. */
export function randomBelow(limit: number, state: { seed: number }): number {
  state.seed = (Math.imul(state.seed, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((state.seed / 2 ** 32) * limit)
}
