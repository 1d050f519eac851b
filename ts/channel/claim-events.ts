import { CLAIM_HASH_BYTES } from '../durability/index.ts'
import { LiminalError } from '../errors.ts'

/**
 * What the claims stream of a durable channel says, all numbers big-endian.
 *
 * Keys: u8 1, u64 position of the first message, u64 time of the claims in milliseconds (see `claimTime`), then 16 bytes for each of its and its followers' keys: their hashes.
 * Fate: u8 2, u64 position of the first message of some keys, u32 subscriptions that they and their followers reached.
 */
export type ClaimEvent =
  | { readonly is: 'keys'; readonly position: bigint; readonly at: number; readonly hashes: Uint8Array }
  | { readonly is: 'fate'; readonly position: bigint; readonly deliveredTo: number }

const KEYS = 1
const FATE = 2
const HEAD_BYTES = 9
const KEYS_HEAD_BYTES = 17
const FATE_BYTES = 13

/** Writes an event. */
export function writeClaimEvent(event: ClaimEvent): Uint8Array {
  const bytes = Buffer.alloc(event.is === 'keys' ? KEYS_HEAD_BYTES + event.hashes.length : FATE_BYTES)
  bytes[0] = event.is === 'keys' ? KEYS : FATE
  bytes.writeBigUInt64BE(event.position, 1)
  if (event.is === 'keys') {
    bytes.writeBigUInt64BE(BigInt(Math.trunc(event.at)), HEAD_BYTES)
    bytes.set(event.hashes, KEYS_HEAD_BYTES)
  } else {
    bytes.writeUInt32BE(event.deliveredTo, HEAD_BYTES)
  }
  return bytes
}

/** Reads an event; views of `bytes`. @throws LiminalError `STORE_CORRUPT`. */
export function readClaimEvent(bytes: Uint8Array, what: string): ClaimEvent {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (
    buffer.length >= KEYS_HEAD_BYTES &&
    buffer[0] === KEYS &&
    (buffer.length - KEYS_HEAD_BYTES) % CLAIM_HASH_BYTES === 0
  ) {
    const at = Number(buffer.readBigUInt64BE(HEAD_BYTES))
    return { is: 'keys', position: buffer.readBigUInt64BE(1), at, hashes: buffer.subarray(KEYS_HEAD_BYTES) }
  }
  if (buffer.length === FATE_BYTES && buffer[0] === FATE) {
    return { is: 'fate', position: buffer.readBigUInt64BE(1), deliveredTo: buffer.readUInt32BE(HEAD_BYTES) }
  }
  const message = `${what} is no record of idempotency keys, though its checksum is right: another program wrote it. Restore the store from a copy.`
  throw new LiminalError('STORE_CORRUPT', message)
}
