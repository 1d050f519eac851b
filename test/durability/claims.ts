import { nativeClaims } from '../../ts/codec/index.ts'
import type { ClaimIndex, ClaimIndexOptions } from '../../ts/durability/claim-index.ts'
import { NativeClaimIndex } from '../../ts/durability/claim-index-native.ts'
import { TypeScriptClaimIndex } from '../../ts/durability/claim-index-typescript.ts'
import { ClaimRows, ClaimStatus } from '../../ts/durability/claim-rows.ts'
import { Column, HEAD_WIDTH, ROW_WIDTH } from '../../ts/protocol/index.ts'

/** Makes an index; what is not said has a default that is out of the way. */
export type MakeIndex = (options?: Partial<ClaimIndexOptions>) => ClaimIndex

const defaults: ClaimIndexOptions = { secret: new Uint8Array(16).fill(9), ttlMs: 60_000, maxKeys: 100_000 }

/** The native index. The tests are about it: without the addon they fail instead of passing over half of what they are for. */
export const makeNative: MakeIndex = (options) => {
  if (nativeClaims === null) throw new Error('The claim tests need the native addon; run npm run build:native')
  return new NativeClaimIndex(nativeClaims, { ...defaults, ...options })
}

export const makeTypeScript: MakeIndex = (options) => new TypeScriptClaimIndex({ ...defaults, ...options })

/** Both, by name, for `describe.each`. */
export const indexes: readonly (readonly [string, MakeIndex])[] = [
  ['native', makeNative],
  ['typescript', makeTypeScript],
]

/** Keys as rows of columns over bytes; `null` is a row without one. */
export function columnsOf(keys: readonly (string | Uint8Array | null)[]): { bytes: Uint8Array; columns: Int32Array } {
  const parts = keys.map((key) => (typeof key === 'string' ? Buffer.from(key) : (key ?? Buffer.alloc(0))))
  const columns = new Int32Array(HEAD_WIDTH + keys.length * ROW_WIDTH)
  // Something before the first and between the keys, so that offsets matter.
  const between = Buffer.from('between')
  let at = 0
  for (const [index, part] of parts.entries()) {
    at += between.length
    columns[HEAD_WIDTH + index * ROW_WIDTH + Column.KEY] = keys[index] === null ? 0 : at
    columns[HEAD_WIDTH + index * ROW_WIDTH + Column.KEY_LENGTH] = keys[index] === null ? -1 : part.length
    at += part.length
  }
  return { bytes: Buffer.concat(parts.flatMap((part) => [between, part])), columns }
}

/** Claims keys and returns the rows. */
export function claim(
  index: ClaimIndex,
  scope: Uint8Array,
  keys: readonly (string | null)[],
  owner: number,
  nowMs = 0,
): ClaimRows {
  const rows = new ClaimRows(keys.length)
  const { bytes, columns } = columnsOf(keys)
  index.claim(scope, bytes, columns, 0, keys.length, owner, nowMs, rows)
  return rows
}

/** What rows say, as text. */
export function told(rows: ClaimRows): string[] {
  const names = Object.keys(ClaimStatus)
  return Array.from({ length: rows.capacity }, (_row, row) => {
    const name = names[rows.status(row)]
    if (name === 'IN_FLIGHT') return `${name} of ${rows.owner(row)}`
    return name === 'COMPLETED' ? `${name} ${rows.value(row)} to ${rows.deliveredTo(row)}` : name
  })
}

/** Keys that no other call gives. */
export function manyKeys(count: number, prefix = 'key'): string[] {
  return Array.from({ length: count }, (_key, index) => `${prefix}-${index}`)
}
