/** Measures what a restart costs: `restore.ts <subject> <keys>` puts so many stored keys back, in records of 64. Prints JSON. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { nativeClaims } from '../../ts/codec/index.ts'
import { NativeClaimIndex } from '../../ts/durability/claim-index-native.ts'
import { TypeScriptClaimIndex } from '../../ts/durability/claim-index-typescript.ts'
import { RUN_KEYS } from './keys.ts'

const HASH_BYTES = 16
const [name, keysText] = process.argv.slice(2)
const keys = Number(keysText)
if (nativeClaims === null) throw new Error('bench:dedup needs the native addon; run npm run build:native.')
const options = { secret: new Uint8Array(16), ttlMs: 60_000, maxKeys: keys * 2 }
const index = name === 'native' ? new NativeClaimIndex(nativeClaims, options) : new TypeScriptClaimIndex(options)
const hashes = Buffer.alloc(keys * HASH_BYTES)
for (let at = 0, bits = 1; at < hashes.length; at += 4) {
  bits ^= bits << 13
  bits ^= bits >>> 17
  bits ^= bits << 5
  hashes.writeInt32LE(bits, at)
}
await nextTurn()
const start = performance.now()
for (let first = 0; first < keys; first += RUN_KEYS) {
  const count = Math.min(RUN_KEYS, keys - first)
  const record = hashes.subarray(first * HASH_BYTES, (first + count) * HASH_BYTES)
  index.restore(record, count, BigInt(first), 1, 0, 0)
}
const ms = performance.now() - start
if (index.size !== keys) throw new Error(`${keys} keys were restored, but ${index.size} are known.`)
console.log(JSON.stringify({ subject: name, keys, ms }))
