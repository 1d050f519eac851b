import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/**
 * Makes a directory and those around it that are missing. Not with `recursive: true`: Node never comes back from that where a parent exists and takes no directory, as `/proc` does.
 * @throws what the file system throws.
 */
export function makeDirectories(path: string): void {
  const missing: string[] = []
  for (let at = resolve(path); !isThere(at); at = dirname(at)) missing.push(at)
  for (const directory of missing.reverse()) {
    try {
      mkdirSync(directory)
    } catch (error) {
      // Somebody else made it meanwhile.
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
  }
}

/** Writes a file that replaces the other at once: at no time there is half of one, and it is on disk when this returns. */
export function replaceFile(file: string, text: string): void {
  const temporary = `${file}.new`
  const descriptor = openSync(temporary, 'w', 0o644)
  try {
    writeSync(descriptor, text)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(temporary, file)
  syncDirectory(dirname(file))
}

/** Makes sure that the names in a directory are on disk. */
export function syncDirectory(path: string): void {
  // Windows has no way to sync a directory, and does not need it.
  if (process.platform === 'win32') return
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** The root is, even if it is not: nothing is around it. */
function isThere(path: string): boolean {
  return path === dirname(path) || statSync(path, { throwIfNoEntry: false }) !== undefined
}
