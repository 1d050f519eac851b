import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'

/** Runs `npm pack` in a folder and returns the absolute path of the tarball. Throws with npm's own words if it fails. */
export function packFolder(folder, destination, options = []) {
  const target = resolve(destination)
  mkdirSync(target, { recursive: true })
  const pack = spawnSync('npm', ['pack', '--loglevel=error', `--pack-destination=${target}`, ...options], {
    cwd: folder,
    encoding: 'utf8',
    // npm is a batch file there, which only a shell can start.
    shell: process.platform === 'win32',
  })
  if (pack.status !== 0) {
    throw new Error(`npm pack failed in ${folder}:\n${pack.stdout ?? ''}${pack.stderr ?? ''}`, { cause: pack.error })
  }
  // Scripts may print before it: the name is the last line.
  return resolve(target, pack.stdout.trim().split('\n').at(-1))
}
