import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { temporaryDirectory } from '../durable-fixture.ts'
import { Platter } from './platter.ts'
import { compileShim } from './shim.ts'

const HEAD_BYTES = 16
const [SYNC, DONE] = [...'sd'].map((kind) => kind.charCodeAt(0))

/** A sync that waits for its verdict. */
export interface HeldSync {
  /** Of which file, from the directory on. */
  readonly file: string
  /** `write`: of one write to a descriptor with `O_DSYNC`. `file`: of all that was written to the file. */
  readonly of: 'write' | 'file'
  pass(): void
  /** With `EIO`. */
  fail(): void
}

/** The disk below a directory, for processes that are started with its {@link environment}: syncs of their data files can be held and made to fail, and everything is noted. */
export class Disk {
  readonly directory: string
  readonly platter = new Platter()
  /** What a process has to be started with. */
  readonly environment: Readonly<Record<string, string>>
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #held: HeldSync[] = []
  readonly #awaited: (() => void)[] = []
  #holds: readonly string[] = []

  private constructor(directory: string, shim: string, socket: string, server: Server) {
    this.directory = directory
    this.environment = { LD_PRELOAD: shim, LIMINAL_DISK_SOCKET: socket, LIMINAL_DISK_DIRECTORY: directory }
    this.#server = server
    server.on('connection', (each) => this.#joined(each))
  }

  /** One that holds nothing, and ends with the test. */
  static async make(): Promise<Disk> {
    const top = await temporaryDirectory()
    const socket = join(top, 'disk.sock')
    const server = createServer().listen(socket)
    await once(server, 'listening')
    const disk = new Disk(join(top, 'data'), compileShim(top), socket, server)
    onTestFinished(() => disk.#close())
    return disk
  }

  /** From now on every sync of these files waits. */
  hold(...files: readonly string[]): void {
    this.#holds = files
  }

  /** Resolves when a sync waits. */
  async waiting(): Promise<void> {
    if (this.#held.length === 0) await new Promise<void>((resolve) => this.#awaited.push(resolve))
  }

  /** The sync that has waited longest, which is its taker's from then on; or the next one that comes. */
  async held(): Promise<HeldSync> {
    for (;;) {
      const sync = this.#held.shift()
      if (sync !== undefined) return sync
      await this.waiting()
    }
  }

  /** Nothing is held any more. */
  release(): void {
    this.#holds = []
    for (const sync of this.#held.splice(0)) sync.pass()
  }

  #joined(socket: Socket): void {
    this.#sockets.add(socket)
    let rest: Buffer = Buffer.alloc(0)
    let last: ReturnType<Platter['written']> | null = null
    // A process that was killed.
    socket.on('error', () => undefined)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('data', (chunk: Buffer) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      for (let end = endOf(rest); end <= rest.length; end = endOf(rest)) {
        const { kind, isOfOne, file, offset, bytes } = read(rest.subarray(0, end))
        rest = rest.subarray(end)
        const only = isOfOne ? last : null
        if (kind === SYNC) this.#asked(socket, file, only)
        else if (kind === DONE) {
          this.platter.synced(file, only)
          socket.write('.')
        } else last = this.platter.written(file, offset, Buffer.from(bytes))
      }
    })
  }

  #asked(socket: Socket, file: string, only: ReturnType<Platter['written']> | null): void {
    const sync: HeldSync = {
      file,
      of: only === null ? 'file' : 'write',
      pass: () => socket.write('g'),
      fail: () => {
        this.platter.synced(file, only, true)
        socket.write('e')
      },
    }
    if (!this.#holds.includes(file)) {
      sync.pass()
      return
    }
    this.#held.push(sync)
    for (const resolve of this.#awaited.splice(0)) resolve()
  }

  async #close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}

/** Where the first message ends. */
function endOf(bytes: Buffer): number {
  if (bytes.length < HEAD_BYTES) return HEAD_BYTES
  return HEAD_BYTES + bytes.readUInt16LE(2) + bytes.readUInt32LE(4)
}

/** See `shim.c`. */
function read(message: Buffer) {
  const pathEnd = HEAD_BYTES + message.readUInt16LE(2)
  return {
    kind: message[0],
    isOfOne: message[1] === 1,
    offset: Number(message.readBigUInt64LE(8)),
    file: message.toString('utf8', HEAD_BYTES, pathEnd),
    bytes: message.subarray(pathEnd),
  }
}
