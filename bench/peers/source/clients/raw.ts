import { open as openFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { AcknowledgedPublisher, Asker, Client, Connecting, Publisher } from './client.ts'
import { Correlation } from './correlation.ts'
import { FrameWriter } from './frame-writer.ts'
import { FrameScanner } from './frames.ts'
import { Greeting, open, openInPlace } from './raw-connection.ts'

/** Bytes read from the log at a time. */
const READ_BYTES = 64 * 1024

/** The file that the server of W5 appends to. */
export const LOG = 'messages.log'

/**
 * The floor: bytes with a length in front, one write for each turn of the event loop, one scan for each chunk, one view for each message. What no bus can do
 * without. */
export const client: Client = {
  async publisher({ endpoint, fail }): Promise<Publisher> {
    const writer = new FrameWriter(await open(endpoint.port, fail))
    return {
      publish(payload) {
        writer.write(payload)
        return true
      },
      room: () => writer.flush(),
    }
  },

  async acknowledgedPublisher({ endpoint, fail }, acknowledged): Promise<AcknowledgedPublisher> {
    const scanner = new FrameScanner(() => undefined, true)
    const read = (chunk: Buffer, length: number) => acknowledged(scanner.scan(chunk, length))
    const writer = new FrameWriter(await openInPlace(endpoint.port, fail, read))
    return {
      publish: (payload) => writer.write(payload),
      flush: () => writer.flush(),
    }
  },

  async subscribe(connecting, take) {
    await receiver(connecting, (message) => take(message, 0, message.length))
  },

  async asker({ endpoint, fail }): Promise<Asker> {
    const correlation = new Correlation()
    const socket = await open(endpoint.port, fail)
    const scanner = new FrameScanner((bytes, offset, length) => {
      const reply = bytes.subarray(offset, offset + length)
      correlation.reply(reply, 0, length)
    }, false)
    socket.on('data', (chunk) => scanner.scan(chunk, chunk.length))
    const writer = new FrameWriter(socket)
    return {
      ask(payload, replied) {
        writer.write(correlation.request(payload, replied))
        writer.flushSoon()
      },
    }
  },

  async responder(connecting, take) {
    const socket = await receiver(connecting, (request) => {
      Correlation.take(request, 0, request.length, take)
      writer.write(request)
      writer.flushSoon()
    })
    const writer = new FrameWriter(socket)
  },

  async read({ endpoint }, take, done) {
    const file = await openFile(join(endpoint.directory, LOG))
    const scanner = new FrameScanner(take, true)
    const chunk = Buffer.allocUnsafe(READ_BYTES)
    try {
      while (!done()) {
        const { bytesRead } = await file.read(chunk, 0, chunk.length)
        if (bytesRead === 0) throw new Error('the log ends before the last message')
        scanner.scan(chunk, bytesRead)
      }
    } finally {
      await file.close()
    }
  },
}

/** A connection that the server has greeted with an empty frame: it counts as a receiver. Every message is handed out as a view of its own. */
async function receiver({ endpoint, fail }: Connecting, take: (message: Buffer) => void): Promise<Socket> {
  const greeting = new Greeting()
  const socket = await open(endpoint.receivePort, fail)
  const scanner = new FrameScanner((bytes, offset, length) => {
    if (length === 0) greeting.came()
    else take(bytes.subarray(offset, offset + length))
  }, false)
  socket.on('data', (chunk) => scanner.scan(chunk, chunk.length))
  await greeting.awaited
  return socket
}
