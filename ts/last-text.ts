/** Text out of received bytes, remembered: peers that ask ask the same subject again and again, and comparing bytes is cheaper than making a string. */
export class LastText {
  #bytes = new Uint8Array(0)
  #text = ''

  /** The text of bytes that are known to be UTF-8. */
  read(bytes: Uint8Array, start: number, length: number): string {
    if (this.#isLast(bytes, start, length)) return this.#text
    this.#bytes = bytes.slice(start, start + length)
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
