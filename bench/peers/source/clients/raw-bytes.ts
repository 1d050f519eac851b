import type { Client } from './client.ts'
import { FrameScanner } from './frames.ts'
import { client as raw } from './raw.ts'
import { Greeting, openInPlace } from './raw-connection.ts'

/** The floor without anything that a user of a client could keep: messages are checked where they were read to. */
export const client: Client = {
  ...(raw.publisher === undefined ? {} : { publisher: raw.publisher }),

  async subscribe({ endpoint, fail }, take) {
    const greeting = new Greeting()
    const scanner = new FrameScanner((bytes, offset, length) => {
      if (length === 0) greeting.came()
      else take(bytes, offset, length)
    }, true)
    await openInPlace(endpoint.receivePort, fail, (chunk, length) => scanner.scan(chunk, length))
    await greeting.awaited
  },
}
