import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, renameSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { NativeBinding } from '../../../ts/codec/binding.ts'

/** What an addon without Rust offers: calls with and without arguments, and calls of the Rust addon, name for name. */
export interface ControlBinding extends Pick<NativeBinding, 'negotiateSchema' | 'scanFrames'> {
  /** Does nothing. */
  empty(): void
  byteLength(bytes: Uint8Array): number
}

/** The control addon, each call in two ways. */
export interface Control {
  /** Through node-addon-api. */
  readonly wrapped: ControlBinding
  /** Through the C functions of N-API. */
  readonly bare: ControlBinding
}

const require = createRequire(import.meta.url)
const FOLDER = dirname(fileURLToPath(import.meta.url))
const ADDON = join(FOLDER, 'control.node')
const OPTIONS = [
  ...['-std=c++20', '-O3', '-fPIC', '-shared', '-fvisibility=hidden', '-Wall', '-Wextra'],
  ...['-DNAPI_VERSION=8', '-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS', '-DNODE_ADDON_API_DISABLE_DEPRECATED'],
  // Node has the functions; the addon is linked against nothing.
  ...(process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : []),
]

/**
 * The control addon, compiled if it is not there or older than its sources; or why there is none. The compiler is that of the environment's
 * `CXX`, by default `g++`.
 * @throws Error if the compiler refuses the sources.
 */
export function loadControl(): Control | string {
  const headers = headerFolders()
  if (headers === null) return 'its headers are not installed (npm --prefix bench/codec ci --ignore-scripts)'
  if (!isFresh()) {
    const compiler = process.env.CXX ?? 'g++'
    const sources = sourceFiles('.cpp').map((name) => join(FOLDER, name))
    const includes = headers.flatMap((folder) => ['-isystem', folder])
    // Processes that run may have the old file mapped: it is replaced, not written to.
    const fresh = `${ADDON}.${process.pid}.tmp`
    const build = spawnSync(compiler, [...OPTIONS, ...includes, ...sources, '-o', fresh], { encoding: 'utf8' })
    if (build.error !== undefined) return `there is no C++ compiler ${compiler} (${build.error.message})`
    if (build.status !== 0) throw new Error(`${compiler} could not build the control addon:\n${build.stderr}`)
    renameSync(fresh, ADDON)
  }
  const control: Control = require(ADDON)
  return control
}

/** Folders of node-addon-api's headers and of N-API's; null where they are not installed. */
function headerFolders(): string[] | null {
  try {
    const wrapper = dirname(require.resolve('node-addon-api/package.json'))
    const plain = join(dirname(require.resolve('node-api-headers/package.json')), 'include')
    return [wrapper, plain]
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') return null
    throw error
  }
}

function isFresh(): boolean {
  if (!existsSync(ADDON)) return false
  const built = statSync(ADDON).mtimeMs
  return sourceFiles('pp').every((name) => statSync(join(FOLDER, name)).mtimeMs < built)
}

function sourceFiles(ending: string): string[] {
  return readdirSync(FOLDER).filter((name) => name.endsWith(ending))
}
