/** Bytes of each message. */
export const MESSAGE_BYTES = 128

/** Messages made before the run: the number at both ends. One is written again only after `slots` others. */
export function messageRing(slots) {
  const messages = Array.from({ length: slots }, () => Buffer.alloc(MESSAGE_BYTES, 0x2e))
  return (number) => {
    const message = messages[number % slots]
    message.writeUInt32LE(number, 0)
    message.writeUInt32LE(number, MESSAGE_BYTES - 4)
    return message
  }
}

/** Takes messages and throws at the first that is not the one due. */
export class Tally {
  #count = 0

  get count() {
    return this.#count
  }

  take(bytes) {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const due = this.#count
    const found = [view.length, view.readUInt32LE(0), view.readUInt32LE(view.length - 4)]
    if (found[0] !== MESSAGE_BYTES || found[1] !== due || found[2] !== due)
      throw new Error(
        `Of message ${due} these came back: ${found[0]} bytes with the numbers ${found[1]} and ${found[2]}.`,
      )
    this.#count++
  }
}
