/** Bytes of the longest text that is remembered: more than any name has. A peer may send one as long as a frame. */
const LONGEST = 1_024

/** Text out of received bytes, remembered: peers that ask ask the same subject again and again, and comparing bytes is cheaper than making a string. */
export class LastText {
  #bytes = new Uint8Array(0)
  #text = ''

  /** The text of bytes that are known to be UTF-8. */
  read(bytes: Uint8Array, start: number, length: number): string {
    if (this.#isLast(bytes, start, length)) return this.#text
    if (length > LONGEST) return Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString()
    // Not `slice`: that of a Buffer is a view, and would keep the whole chunk.
    this.#bytes = new Uint8Array(bytes.subarray(start, start + length))
    this.#text = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset, length).toString()
    return this.#text
  }

  #isLast(bytes: Uint8Array, start: number, length: number): boolean {
    const last = this.#bytes
    if (last.length !== length) return false
    for (let index = 0; index < length; index++) if (bytes[start + index] !== last[index]) return false
    return true
  }
}
