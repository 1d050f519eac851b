import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { typescriptCodec } from '../../ts/codec/index.ts'
import type { CausalContext, Envelope, Frame } from '../../ts/protocol/index.ts'
import { CONNECT_EXTENSIONS, HAS_HEAD, readHead } from '../../ts/protocol/index.ts'

/** What every test needs to know of a server. */
export interface Addressed {
  readonly address: { readonly host: string; readonly port: number }
}

export const NO_SCHEMA = new Uint8Array(32)
export const NO_CAUSE: CausalContext = { parentId: null, vectorClockEntry: null }

const VERSION = { major: 1, minor: 0 }

/** A peer that speaks frames and nothing else: it answers nothing by itself. */
export class RawPeer {
  readonly socket: Socket
  /** Settles when the server has closed its side. */
  readonly ended: Promise<void>
  readonly #decoder = new typescriptCodec.FrameDecoder()
  readonly #frames: Frame[] = []
  readonly #waiting: { resolve: (frame: Frame) => void; reject: (error: Error) => void }[] = []
  #ended = false

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      for (const frame of this.#decoder.frames(chunk)) this.#received(frame)
    })
    // A reset is one of the ways in which a server may end a connection; what matters is that it ended.
    socket.on('error', () => undefined)
    this.ended = new Promise((resolve) => {
      const end = (): void => {
        this.#ended = true
        for (const { reject } of this.#waiting.splice(0)) reject(new Error('The server closed the connection.'))
        resolve()
      }
      socket.on('end', end)
      socket.on('close', end)
    })
  }

  /** Opens the TCP connection and sends nothing. */
  static async open(server: Addressed): Promise<RawPeer> {
    const { host, port } = server.address
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true })
    await once(socket, 'connect')
    return new RawPeer(socket)
  }

  /** Connects as a client of 1.0, or as one that understands the extensions. */
  static async connect(server: Addressed, options: { extensions?: boolean } = {}): Promise<RawPeer> {
    const peer = await RawPeer.open(server)
    peer.send(connectFrame({ flags: options.extensions === true ? CONNECT_EXTENSIONS : 0 }))
    const ack = await peer.next()
    if (ack.type !== 'ConnectAck') throw new Error(`Expected a ConnectAck, got ${ack.type}`)
    return peer
  }

  send(...frames: Frame[]): void {
    this.socket.write(Buffer.concat(frames.map((frame) => typescriptCodec.encode(frame))))
  }

  write(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  /** The next frame of the server. Rejects if the connection ends instead. */
  next(): Promise<Frame> {
    const frame = this.#frames.shift()
    if (frame !== undefined) return Promise.resolve(frame)
    if (this.#ended) return Promise.reject(new Error('The server closed the connection.'))
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** The next frame, which must be of this type. */
  async expect<Type extends Frame['type']>(type: Type): Promise<Extract<Frame, { type: Type }>> {
    const frame = await this.next()
    if (!isOf(frame, type)) throw new Error(`Expected ${type}, got ${JSON.stringify(frame, bigints)}`)
    return frame
  }

  /** The frames up to the one of this type, which comes last. */
  async until<Type extends Frame['type']>(type: Type): Promise<Frame[]> {
    const frames = [await this.next()]
    while (frames[frames.length - 1].type !== type) frames.push(await this.next())
    return frames
  }

  /** What came and was not asked for; after a `Pong`, everything that the server sent before it. */
  async rest(): Promise<Frame[]> {
    this.send({ type: 'Ping', flags: 0, streamId: 0 })
    return (await this.until('Pong')).slice(0, -1)
  }

  destroy(): void {
    this.socket.destroy()
  }

  #received(frame: Frame): void {
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#frames.push(frame)
    else waiting.resolve(frame)
  }
}

function isOf<Type extends Frame['type']>(frame: Frame, type: Type): frame is Extract<Frame, { type: Type }> {
  return frame.type === type
}

function bigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}

export function connectFrame(fields: { flags?: number; token?: string; min?: number; max?: number } = {}): Frame {
  return {
    type: 'Connect',
    flags: fields.flags ?? 0,
    streamId: 0,
    minVersion: { ...VERSION, major: fields.min ?? 1 },
    maxVersion: { ...VERSION, major: fields.max ?? 1 },
    authToken: Buffer.from(fields.token ?? ''),
  }
}

export function envelope(payload: string | Uint8Array, causal: CausalContext = NO_CAUSE): Envelope {
  return { schemaId: NO_SCHEMA, causal, payload: typeof payload === 'string' ? Buffer.from(payload) : payload }
}

export function publishFrame(
  channel: string,
  payload: string | Uint8Array,
  fields: { streamId?: number; flags?: number; key?: string } = {},
): Frame {
  return {
    type: 'Publish',
    flags: (fields.flags ?? 0) | (fields.key === undefined ? 0 : 0x02),
    streamId: fields.streamId ?? 1,
    channel,
    envelope: envelope(payload),
    idempotencyKey: fields.key ?? null,
  }
}

export function subscribeFrame(
  channel: string,
  streamId: number,
  fields: { maxInFlight?: number; acceptedSchemas?: Uint8Array[] } = {},
): Frame {
  return {
    type: 'Subscribe',
    flags: 0,
    streamId,
    channel,
    acceptedSchemas: fields.acceptedSchemas ?? [],
    maxInFlight: fields.maxInFlight ?? 1_024,
  }
}

export function openFrame(
  conversationId: bigint,
  subject: string,
  fields: { streamId?: number; flags?: number } = {},
): Frame {
  return { type: 'ConversationOpen', flags: fields.flags ?? 0, streamId: fields.streamId ?? 1, conversationId, subject }
}

export function messageFrame(
  conversationId: bigint,
  payload: string | Uint8Array,
  fields: { streamId?: number; flags?: number; causal?: CausalContext } = {},
): Frame {
  return {
    type: 'ConversationMessage',
    flags: fields.flags ?? 1,
    streamId: fields.streamId ?? 3,
    conversationId,
    envelope: envelope(payload, fields.causal),
  }
}

export function closeFrame(conversationId: bigint, fields: { streamId?: number; flags?: number } = {}): Frame {
  return {
    type: 'ConversationClose',
    flags: fields.flags ?? 0,
    streamId: fields.streamId ?? 1,
    conversationId,
    reasonCode: null,
    message: null,
  }
}

/** The text of a frame's payload, without its head if it has one. */
export function textOf({ type, flags, envelope }: Frame & { readonly envelope: Envelope }): string {
  const hasHead = type === 'ConversationMessage' && (flags & HAS_HEAD) !== 0
  return Buffer.from(hasHead ? readHead(envelope.payload).payload : envelope.payload).toString()
}

export const PING: Frame = { type: 'Ping', flags: 0, streamId: 0 }
export const DISCONNECT: Frame = { type: 'Disconnect', flags: 0, streamId: 0 }
