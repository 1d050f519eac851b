/**
 * u32 and u64 on big-endian wire bytes. A u64 goes through one shared pair of typed arrays: that makes a single `bigint` and no
 * intermediate ones, a quarter of the cost of shifting and adding.
 */

const wide = new BigUint64Array(1)
const halves = new Uint32Array(wide.buffer)
const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1
const HIGH = 1 - LOW

/** The largest u64. */
export const U64_MAX = 0xffff_ffff_ffff_ffffn

/** Reads a u32 at `at`; the caller checked the bounds. */
export function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
}

/** Reads a u64 at `at`; the caller checked the bounds. */
export function readU64(bytes: Uint8Array, at: number): bigint {
  halves[HIGH] = readU32(bytes, at)
  halves[LOW] = readU32(bytes, at + 4)
  return wide[0]
}

/** Writes a u32 at `at`; the caller checked the bounds and the value. */
export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

/** Writes a u64 at `at`; the caller checked the bounds and the value. */
export function writeU64(bytes: Uint8Array, at: number, value: bigint): void {
  wide[0] = value
  writeU32(bytes, at, halves[HIGH])
  writeU32(bytes, at + 4, halves[LOW])
}

/** The upper 32 bits of a u64. */
export function highHalf(value: bigint): number {
  wide[0] = value
  return halves[HIGH]
}

/** The lower 32 bits of a u64. */
export function lowHalf(value: bigint): number {
  wide[0] = value
  return halves[LOW]
}
