/** Rendezvous (highest random weight) hashing: each pair of a key and an id has a weight, and the key belongs to the id with the highest. */

/** A text as 32 well-mixed bits: FNV-1a over its UTF-16 units, then a finaliser. */
export function textBits(text: string): number {
  let bits = 0x811c9dc5
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    bits = Math.imul(bits ^ (unit & 0xff), 0x01000193)
    bits = Math.imul(bits ^ (unit >>> 8), 0x01000193)
  }
  return mix(bits)
}

/** How much a key and an id have to do with each other, 0 to 2^32 - 1. Both as {@link textBits}. */
export function weight(keyBits: number, idBits: number): number {
  return mix(keyBits ^ Math.imul(idBits, 0x9e3779b1))
}

/** The finaliser of MurmurHash3: each bit of the input changes half of the output's. */
function mix(bits: number): number {
  let mixed = bits ^ (bits >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
