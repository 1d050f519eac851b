/** Who published a message, and which of theirs it is, from 0. */
export interface Identity {
  readonly publisher: number
  readonly number: number
}

/** The idempotency key of a message. */
export function keyOf({ publisher, number }: Identity): string {
  return `${publisher}-${number}`
}

/** Its payload: the key and a filler whose length comes from it, so that records are of many sizes. One in 64 takes several pages. */
export function payloadOf(identity: Identity): Buffer {
  const { publisher, number } = identity
  const noise = Math.imul(number + 1, 0x9e3779b1) >>> 8
  const filler = (number + publisher) % 64 === 0 ? 4_000 + (noise % 16_000) : noise % 200
  return Buffer.from(`${keyOf(identity)}:${'.'.repeat(filler)}`)
}

/** @throws Error if these are not the bytes that its publisher sent. */
export function identityOf(payload: Uint8Array): Identity {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  const match = /^(\d+)-(\d+):/.exec(bytes.toString('latin1', 0, 32))
  if (match === null) throw new Error(`A message of ${bytes.length} bytes is nobody's.`)
  const identity = { publisher: Number(match[1]), number: Number(match[2]) }
  if (!payloadOf(identity).equals(bytes)) throw new Error(`Message ${keyOf(identity)} was changed.`)
  return identity
}
