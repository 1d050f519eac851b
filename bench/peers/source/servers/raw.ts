import type { Socket } from 'node:net'
import { FrameScanner, HEAD_BYTES } from '../clients/frames.ts'
import { acceptor } from './listen.ts'
import { appendLog } from './raw-log.ts'
import type { Serving, StartServer } from './server.ts'

/** What a receiver is sent once it counts: a frame without a payload. */
const GREETING = Buffer.alloc(HEAD_BYTES)
const ABOUT = 'node:net, forwards bytes'

/**
 * The floor: hands on what it reads, as it read it, to every receiver. It looks into the bytes only where it has to count frames to acknowledge them. Senders and
 * receivers connect to different ports.
 */
export const start: StartServer = async (serving) => {
  const { fail, workload } = serving
  const receivers: Socket[] = []
  const senders: Socket[] = []
  const receivePort = await acceptor(fail, (socket) => {
    receivers.push(socket)
    socket.write(GREETING)
    if (workload.startsWith('W4')) forward(socket, senders)
  })
  const port = await acceptor(fail, (socket) => {
    senders.push(socket)
    if (workload === 'W5') log(socket, serving)
    else forward(socket, receivers, workload === 'W3')
  })
  return { port, receivePort, about: ABOUT }
}

/** Writes every chunk to all receivers, waiting for those whose buffers are full. */
function forward(from: Socket, receivers: readonly Socket[], acknowledge = false): void {
  const scanner = new FrameScanner(() => undefined, true)
  let waiting = 0
  from.on('data', (chunk) => {
    for (const receiver of receivers) {
      if (receiver.write(chunk)) continue
      waiting += 1
      from.pause()
      receiver.once('drain', () => {
        waiting -= 1
        if (waiting === 0) from.resume()
      })
    }
    if (acknowledge) from.write(acknowledgements(scanner.scan(chunk, chunk.length)))
  })
}

/** Acknowledges what the disk has. */
function log(from: Socket, { directory, fail }: Serving): void {
  const scanner = new FrameScanner(() => undefined, true)
  const append = appendLog(directory, (chunks) => {
    const frames = chunks.reduce((sum, chunk) => sum + scanner.scan(chunk, chunk.length), 0)
    from.write(acknowledgements(frames))
  })
  from.on('data', (chunk) => append(chunk).catch(fail))
}

/** One frame of four bytes for each message. */
function acknowledgements(count: number): Buffer {
  return Buffer.alloc(count * 2 * HEAD_BYTES, ACKNOWLEDGEMENT)
}

const ACKNOWLEDGEMENT = Buffer.from([HEAD_BYTES, 0, 0, 0, 0, 0, 0, 0])
