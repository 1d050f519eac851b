import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'

/** A file system of its own in memory, mounted on a directory: full where a real disk is, or not to be written to. */
export interface SmallDisk {
  /** Mounts it anew with other options, such as `ro`. */
  remount(options: string): void
  unmount(): void
}

/** `null` if this process may not mount anything: whoever tests then has to say what it does instead. */
export function mountSmallDisk(path: string, bytes: number): SmallDisk | null {
  mkdirSync(path, { recursive: true })
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path], { stdio: 'ignore' })
  } catch {
    return null
  }
  return {
    remount: (options) => execFileSync('mount', ['-o', `remount,${options}`, path], { stdio: 'ignore' }),
    unmount: () => execFileSync('umount', ['-l', path], { stdio: 'ignore' }),
  }
}
