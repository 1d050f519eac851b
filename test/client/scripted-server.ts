import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { typescriptCodec } from '../../ts/codec/index.ts'
import { ALL_CAPABILITIES, type CausalContext, type Envelope, type Frame } from '../../ts/protocol/index.ts'

export const NO_SCHEMA = new Uint8Array(32)
export const NO_CAUSE: CausalContext = { parentId: null, vectorClockEntry: null }

export type FrameOf<Type extends Frame['type']> = Extract<Frame, { type: Type }>

/** One connection as the server of a test sees it: it says and hears single frames, and answers nothing by itself. */
export class ScriptedPeer {
  readonly socket: Socket
  /** Settles when the client's side is closed. */
  readonly ended: Promise<void>
  /** Frames of each chunk, in order: what came in one piece. */
  readonly chunks: Frame[][] = []
  readonly #decoder = new typescriptCodec.FrameDecoder()
  readonly #frames: Frame[] = []
  readonly #waiting: { resolve: (frame: Frame) => void; reject: (error: Error) => void }[] = []
  #over = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => this.#received([...this.#decoder.frames(chunk)]))
    // A client may end its connection in any way; what matters is that it ended.
    socket.on('error', () => undefined)
    this.ended = new Promise((resolve) => {
      const end = (): void => {
        this.#over = true
        for (const { reject } of this.#waiting.splice(0)) reject(new Error('The client closed the connection.'))
        resolve()
      }
      socket.on('end', () => {
        end()
        socket.end()
      })
      socket.on('close', end)
    })
  }

  /** The next frame of the client. Rejects if the connection ends instead. */
  next(): Promise<Frame> {
    const frame = this.#frames.shift()
    if (frame !== undefined) return Promise.resolve(frame)
    if (this.#over) return Promise.reject(new Error('The client closed the connection.'))
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** The next frame, which must be of this type. */
  async expect<Type extends Frame['type']>(type: Type): Promise<FrameOf<Type>> {
    const frame = await this.next()
    if (!isOf(frame, type)) throw new Error(`Expected ${type}, got ${describe(frame)}`)
    return frame
  }

  /** What the client sends before the answer to a Ping: everything that it had to say. */
  async rest(): Promise<Frame[]> {
    this.send({ type: 'Ping', flags: 0, streamId: 0 })
    const frames: Frame[] = []
    for (let frame = await this.next(); frame.type !== 'Pong'; frame = await this.next()) frames.push(frame)
    return frames
  }

  /** Plays the server's part of the handshake. */
  async accept(capabilities: number = ALL_CAPABILITIES): Promise<FrameOf<'Connect'>> {
    const connect = await this.expect('Connect')
    this.send({ type: 'ConnectAck', flags: 0, streamId: 0, selectedVersion: { major: 1, minor: 0 }, capabilities })
    return connect
  }

  send(...frames: Frame[]): void {
    this.socket.write(Buffer.concat(frames.map((frame) => typescriptCodec.encode(frame))))
  }

  /** Ends the connection the hard way. */
  kill(): void {
    this.socket.resetAndDestroy()
  }

  #received(frames: Frame[]): void {
    if (frames.length > 0) this.chunks.push(frames)
    for (const frame of frames) {
      const waiting = this.#waiting.shift()
      if (waiting === undefined) this.#frames.push(frame)
      else waiting.resolve(frame)
    }
  }
}

/** The answer to a Ping. */
export const PONG: Frame = { type: 'Pong', flags: 0, streamId: 0 }

/** A server that does what a test tells it to, frame by frame. */
export class ScriptedServer {
  readonly url: string
  readonly port: number
  readonly #server: Server
  readonly #peers: ScriptedPeer[] = []
  readonly #fresh: ScriptedPeer[] = []
  readonly #waiting: ((peer: ScriptedPeer) => void)[] = []

  private constructor(server: Server, port: number) {
    this.#server = server
    this.port = port
    this.url = `liminal://127.0.0.1:${port}`
    server.on('connection', (socket) => {
      const peer = new ScriptedPeer(socket)
      this.#peers.push(peer)
      const waiting = this.#waiting.shift()
      if (waiting === undefined) this.#fresh.push(peer)
      else waiting(peer)
    })
  }

  static async listen(port = 0): Promise<ScriptedServer> {
    const server = createServer({ allowHalfOpen: true, noDelay: true })
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('The scripted server has no port.')
    return new ScriptedServer(server, address.port)
  }

  /** The next connection of a client. */
  connection(): Promise<ScriptedPeer> {
    const peer = this.#fresh.shift()
    if (peer !== undefined) return Promise.resolve(peer)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Kills every connection and takes no more. */
  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const peer of this.#peers) peer.socket.destroy()
    await closed
  }
}

export function envelope(payload: string | Uint8Array, causal: CausalContext = NO_CAUSE): Envelope {
  return { schemaId: NO_SCHEMA, causal, payload: typeof payload === 'string' ? Buffer.from(payload) : payload }
}

export function publishAck(streamId: number, messageId: bigint, flags = 0): Frame {
  return { type: 'PublishAck', flags, streamId, messageId }
}

export function subscribeAck(streamId: number, subscriptionId: bigint): Frame {
  return { type: 'SubscribeAck', flags: 0, streamId, subscriptionId, selectedSchema: NO_SCHEMA }
}

export function deliver(streamId: number, deliverySeq: bigint, payload: string | Uint8Array): Frame {
  return { type: 'Deliver', flags: 0, streamId, deliverySeq, envelope: envelope(payload) }
}

export function replyTo(request: FrameOf<'ConversationMessage'>, payload: string): Frame {
  const { streamId, conversationId } = request
  return { type: 'ConversationMessage', flags: 1, streamId, conversationId, envelope: envelope(payload) }
}

/** The payload of a frame, as text. */
export function textOf(frame: FrameOf<'Publish' | 'ConversationMessage'>): string {
  return Buffer.from(frame.envelope.payload).toString()
}

function isOf<Type extends Frame['type']>(frame: Frame, type: Type): frame is FrameOf<Type> {
  return frame.type === type
}

function describe(frame: Frame): string {
  return JSON.stringify(frame, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))
}
