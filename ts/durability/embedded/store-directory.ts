import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { invalidArgument } from '../../arguments.ts'
import { LiminalError } from '../../errors.ts'
import { makeDirectories, replaceFile, syncDirectory } from '../lasting-files.ts'
import { storeFailure } from './failures.ts'
import { checkFile } from './file-check.ts'
import { encodeMark, FORMAT_VERSION } from './layout.ts'
import { damaged } from './lmdb-meta.ts'
import { CURRENT_MIGRATIONS, type Migration, migrationsFrom } from './migrations.ts'

const DATA_FILE = 'data.mdb'
const IDENTITY_FILE = 'store.json'
const ID_BYTES = 16

/** More than LMDB needs for its first pages and for its table of readers. */
const FIRST_BYTES = 256 * 1024

/** What `store.json` says. It is written last when a store is made: where it is, data must be. */
interface Identity {
  readonly format: number
  readonly id: Uint8Array
}

/** A directory whose file may be opened. */
export interface StoreDirectory {
  readonly dataFile: string
  /** What marks the file that is made now; `null` if there is one. */
  readonly mark: Uint8Array | null
  readonly id: Uint8Array
  readonly used: number
  readonly streams: number
  /** The encoded keys of streams with records that are still to be deleted. */
  readonly remains: readonly Uint8Array[]
}

/** Whether there is a store in a directory, or what is left of one. */
export function hasStore(path: string): boolean {
  return existsSync(join(path, IDENTITY_FILE)) || existsSync(join(path, DATA_FILE))
}

/** Makes the directory if it is missing and may be made. @throws LiminalError `INVALID_ARGUMENT`, `STORE_FAILED` */
export function ensureDirectory(path: string, create: boolean): void {
  try {
    const found = statSync(path, { throwIfNoEntry: false })
    if (found === undefined && create) makeDirectories(path)
    else if (found === undefined) throw missing(path)
    else if (!found.isDirectory()) throw invalidArgument('path', 'a directory', path)
  } catch (error) {
    if (isNotDirectory(error)) throw invalidArgument('path', 'a directory within directories', path)
    throw storeFailure(`The directory of the store, ${path}, cannot be used.`, error)
  }
}

/**
 * Looks at what is in a directory before LMDB does, mends what a crash between two steps of its making has left, and makes sure that what is there is a whole store of this format.
 *
 * @throws LiminalError `STORE_CORRUPT`; `STORE_FAILED` if there is none and none may be made, or if it is of a newer format.
 */
export async function inspectDirectory(
  path: string,
  create: boolean,
  migrations: readonly Migration[] = CURRENT_MIGRATIONS,
): Promise<StoreDirectory> {
  const dataFile = join(path, DATA_FILE)
  const identity = readIdentity(path)
  const size = statSync(dataFile, { throwIfNoEntry: false })?.size
  if (identity !== null) {
    if (size === undefined)
      throw damaged(dataFile, `it is missing, though ${join(path, IDENTITY_FILE)} says that it was there`)
    for (const step of migrationsFrom(path, identity.format, migrations)) {
      await step.run(dataFile)
      writeIdentity(path, { format: step.to, id: identity.id })
    }
  }
  if (size !== undefined && !existsSync(`${dataFile}-lock`)) checkSpace(path)
  const isUnmade = identity === null && (size === undefined || size === 0)
  const report = isUnmade ? null : await checkFile(dataFile)
  // A process that ended while it made the store: nothing was acknowledged yet.
  if (report === null || (identity === null && report.mark === null && report.used === 0)) {
    if (!create) throw missing(path)
    rmSync(dataFile, { force: true })
    checkSpace(path)
    const id = randomBytes(ID_BYTES)
    return { dataFile, mark: encodeMark(FORMAT_VERSION, id), id, used: 0, streams: 0, remains: [] }
  }
  const { mark, used, streams, remains } = report
  if (mark === null) throw damaged(dataFile, 'it has no mark of a store')
  if (identity !== null && !Buffer.from(identity.id).equals(mark.id)) {
    throw damaged(dataFile, `it is of another store than ${join(path, IDENTITY_FILE)}`)
  }
  if (identity === null) {
    migrationsFrom(path, mark.format, migrations)
    writeIdentity(path, mark)
  }
  return { dataFile, mark: null, id: mark.id, used, streams, remains }
}

/** LMDB maps files that it has not filled yet: where a page of one finds no room, the process ends. So the room is asked for first. */
function checkSpace(path: string): void {
  const file = join(path, 'space')
  try {
    writeFileSync(file, new Uint8Array(FIRST_BYTES), { flush: true })
  } finally {
    rmSync(file, { force: true })
  }
}

/** Says that the directory holds a store from now on. */
export function completeDirectory(path: string, { id }: StoreDirectory): void {
  syncDirectory(path)
  syncAncestors(path)
  writeIdentity(path, { format: FORMAT_VERSION, id })
}

/** Directories that were made on the way, by whomever, are as good as missing after a power cut until those around them are synced. */
function syncAncestors(path: string): void {
  for (let at = resolve(path); at !== dirname(at); at = dirname(at)) {
    try {
      syncDirectory(dirname(at))
    } catch {
      // One that may not even be read was not made by this process or its like.
      return
    }
  }
}

function readIdentity(path: string): Identity | null {
  const file = join(path, IDENTITY_FILE)
  if (!existsSync(file)) return null
  let found: unknown
  try {
    found = JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    throw damaged(file, 'it is not JSON')
  }
  if (typeof found === 'object' && found !== null && 'format' in found && 'id' in found) {
    const { format, id } = found
    const isIdentity = Number.isSafeInteger(format) && typeof id === 'string' && /^[0-9a-f]{32}$/.test(id)
    if (isIdentity) return { format: Number(format), id: Buffer.from(id, 'hex') }
  }
  throw damaged(file, 'it does not say what store is here')
}

function writeIdentity(path: string, { format, id }: Identity): void {
  const text = `${JSON.stringify({ format, id: Buffer.from(id).toString('hex') })}\n`
  replaceFile(join(path, IDENTITY_FILE), text)
}

function missing(path: string): LiminalError {
  const message = `There is no store in ${path}, and none may be made there (create: false). Check the path, or allow it to be made.`
  return new LiminalError('STORE_FAILED', message, { retryable: false })
}

function isNotDirectory(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOTDIR' || error.code === 'EEXIST')
}
