import { statfs } from 'node:fs/promises'
import { LiminalError } from '../../errors.ts'
import type { CommitEnd, FailureInThread } from './commit-messages.ts'

/** Error numbers of a disk, a quota or a file that is full: of Linux, of macOS, and of LMDB, whose map cannot grow further. */
const FULL_CODES: readonly unknown[] = [28, 122, 69, 27, -30792, 'ENOSPC', 'EDQUOT', 'EFBIG']

/** LMDB writes with one call for many pages; what does not fit is an error of input or output. */
const INPUT_OUTPUT = 5

/** Free space below which a failed write is taken for one that did not fit. A commit may have been larger than what it found. */
const LITTLE_SPACE = 1024 * 1024

/** What a commit that failed is called. Nothing of it was kept: LMDB's last transaction still stands. @param bytes what the commit wanted to write */
export async function commitFailure(directory: string, failure: FailureInThread, bytes: number): Promise<LiminalError> {
  const isFull =
    FULL_CODES.includes(failure.code) || (failure.code === INPUT_OUTPUT && (await isShortOfSpace(directory, bytes)))
  const cause = Object.assign(new Error(failure.message), { code: failure.code })
  if (isFull) {
    const message = `The disk of the store in ${directory} is full: nothing of the write was kept. Make room, or truncate streams, and try again. (${failure.message})`
    return new LiminalError('STORE_FULL', message, { cause })
  }
  const message = `The store in ${directory} could not commit: nothing of the write was kept. Look at its disk, and try again. (${failure.message})`
  return new LiminalError('STORE_FAILED', message, { cause })
}

/** What every write is answered with once the commits have come to an end: trying again does not help before the store is opened anew. */
export function endedFailure(
  directory: string,
  end: CommitEnd,
  { message: text, code }: FailureInThread,
): LiminalError {
  const what =
    end === 'sync'
      ? 'could not be synced to the disk: what was acknowledged lately may not survive the machine, whatever a later sync says'
      : 'could not finish a commit on the disk: whether its last writes were kept is known once it is opened again'
  const message = `The store in ${directory} ${what}. Nothing more is written. Look at its disk, close the store, and open it again. (${text})`
  return new LiminalError('STORE_FAILED', message, {
    cause: Object.assign(new Error(text), { code }),
    retryable: false,
  })
}

/** Something else that was asked of the file system or of LMDB has failed. */
export function storeFailure(what: string, error: unknown): LiminalError {
  if (error instanceof LiminalError) return error
  const text = error instanceof Error ? error.message : String(error)
  const isFull = error instanceof Error && 'code' in error && FULL_CODES.includes(error.code)
  if (isFull) return new LiminalError('STORE_FULL', `${what} Its disk is full: make room. (${text})`, { cause: error })
  return new LiminalError('STORE_FAILED', `${what} Check that its directory may be read and written. (${text})`, {
    cause: error,
  })
}

async function isShortOfSpace(directory: string, bytes: number): Promise<boolean> {
  try {
    const { bavail, bsize } = await statfs(directory)
    return bavail * bsize < Math.max(LITTLE_SPACE, 2 * bytes)
  } catch {
    // Whoever cannot even be asked for its space has another problem than space.
    return false
  }
}
