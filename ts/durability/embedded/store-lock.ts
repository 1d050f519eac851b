import { closeSync, constants, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { LiminalError } from '../../errors.ts'

const HOLDER_FILE = 'holder'
const HOLDER_BYTES = 16

/** Darwin's flag of `open` for a lock on the file that ends with its last descriptor. Node has no name for it. */
const O_EXLOCK = 0x20

/**
 * Keeps a directory for one store. It is a lock of the operating system that ends with the process, however that ends: nothing stale is left that somebody would have to judge, and the pid
 * of another process that was given out again means nothing. On Linux it is an abstract socket, on Windows a named pipe, both called after the device and the inode of the directory; on
 * macOS an exclusive lock on a file. Who has it writes its pid beside it, for the message.
 */
export class StoreLock {
  readonly #release: () => void

  private constructor(release: () => void) {
    this.#release = release
  }

  /** @throws LiminalError `STORE_LOCKED` if another store has it, of this process or of another; what the file system throws. */
  static async acquire(directory: string): Promise<StoreLock> {
    const holder = join(directory, HOLDER_FILE)
    const release = process.platform === 'darwin' ? lockFile(directory) : await lockName(directory)
    try {
      // Also tells whether the directory can be written to, before anything depends on it.
      writeHolder(holder)
    } catch (error) {
      release()
      throw error
    }
    return new StoreLock(release)
  }

  /** Idempotent. */
  release(): void {
    this.#release()
  }
}

function writeHolder(path: string): void {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o644)
  try {
    // Always as long, and in place: it needs no further room on a disk that is full.
    writeSync(file, String(process.pid).padEnd(HOLDER_BYTES), 0)
  } catch (error) {
    // A store whose disk is full must open: something may be removed from it then. Only the message of the next one is poorer.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
  } finally {
    closeSync(file)
  }
}

async function lockName(directory: string): Promise<() => void> {
  const { dev, ino } = statSync(directory, { bigint: true })
  const name = `liminal-bus-store-${dev.toString(36)}-${ino.toString(36)}`
  const server = createServer((socket) => socket.destroy())
  // In a cluster's worker as well the lock is the worker's own.
  const listening = { path: process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : `\0${name}`, exclusive: true }
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === 'EADDRINUSE' || error.code === 'EACCES'
      reject(isTaken ? locked(directory) : error)
    })
    server.listen(listening, resolve)
  })
  return releaseOf(server)
}

function releaseOf(server: Server): () => void {
  // It does not keep the program alive.
  server.unref()
  return () => {
    if (server.listening) server.close()
  }
}

function lockFile(directory: string): () => void {
  const { O_RDWR, O_CREAT, O_NONBLOCK } = constants
  let file: number | null
  try {
    file = openSync(join(directory, 'lock'), O_RDWR | O_CREAT | O_NONBLOCK | O_EXLOCK, 0o644)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') throw locked(directory)
    throw error
  }
  return () => {
    if (file !== null) closeSync(file)
    file = null
  }
}

function locked(directory: string): LiminalError {
  const pid = holderOf(directory)
  const who = pid === process.pid ? 'this process' : pid === null ? 'another process' : `process ${pid}`
  const message = `The store in ${directory} is open in ${who} (pid ${pid ?? 'unknown'}). A store has one process at a time: stop that one, or use another directory.`
  return new LiminalError('STORE_LOCKED', message)
}

function holderOf(directory: string): number | null {
  try {
    const text = readFileSync(join(directory, HOLDER_FILE), 'utf8')
    return /^\d+ *$/.test(text) ? Number(text) : null
  } catch {
    // Who has the lock may not have come to write it yet.
    return null
  }
}
