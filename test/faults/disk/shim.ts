import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const SOURCE = fileURLToPath(new URL('./shim.c', import.meta.url))

/** Why processes cannot be run on a disk that is watched here; `null` if they can. */
export const NO_SHIM: string | null = reason()

function reason(): string | null {
  if (process.platform !== 'linux') return 'only Linux has LD_PRELOAD as it is used here'
  if (spawnSync('cc', ['--version']).status !== 0) return 'there is no C compiler, cc'
  return null
}

/** Compiles the shim into a directory. Returns its path. */
export function compileShim(directory: string): string {
  const output = join(directory, 'shim.so')
  const { status, stderr } = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', output, SOURCE, '-ldl'], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`cc failed: ${stderr}`)
  return output
}
