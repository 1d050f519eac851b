import { Writable } from 'node:stream'

/** A stream that remembers what was written to it, and says `written` each time. */
export class Collected extends Writable {
  readonly isTTY: boolean
  text = ''

  constructor({ terminal = false } = {}) {
    super()
    this.isTTY = terminal
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString('utf8')
    done()
    this.emit('written')
  }

  get lines(): string[] {
    return this.text.split('\n').slice(0, -1)
  }
}
