// Builds the native addon with cargo and puts it where the loader looks for it on a checkout: native/node/liminal-bus.<platform>.node.
//
//   node scripts/build-native.mjs [--target <rust triple>] [--out <dir>] [--required]
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { addonName, platforms } from './platforms.mjs'

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..')

/** The name of the platform that this script runs on. */
export function hostPlatform() {
  const machine = `${process.platform}-${process.arch}`
  if (process.platform === 'win32') return `${machine}-msvc`
  if (process.platform !== 'linux') return machine
  return hasGlibc() ? `${machine}-gnu` : `${machine}-musl`
}

function hasGlibc() {
  // A report looks up the names of open connections unless told otherwise, which can take seconds.
  const { excludeNetwork } = process.report
  process.report.excludeNetwork = true
  const { header } = process.report.getReport()
  process.report.excludeNetwork = excludeNetwork
  return header.glibcVersionRuntime !== undefined
}

/** The file that cargo makes of the crate, on the operating system that it is made for. */
function libraryName(os) {
  if (os === 'win32') return 'liminal_node.dll'
  return os === 'darwin' ? 'libliminal_node.dylib' : 'libliminal_node.so'
}

function missingCargo() {
  const probe = spawnSync('cargo', ['--version'], { stdio: 'ignore' })
  if (probe.error === undefined && probe.status === 0) return null
  return 'cargo is not on PATH; install Rust (https://rustup.rs) to build the native addon'
}

/**
 * Builds the addon and returns the path of the .node file, or false where there can be none and nobody insists on it.
 *
 * - `target`: Rust triple to build for. Default: this machine.
 * - `out`: directory of the .node file. Default: native/node.
 * - `required`: fail where cargo is missing or no addon exists for the platform. Default: true if the environment has LIMINAL_BUILD_NATIVE=required.
 *
 * Throws if the build fails.
 */
export function buildNative({
  target,
  out = join(ROOT, 'native', 'node'),
  required = process.env.LIMINAL_BUILD_NATIVE === 'required',
} = {}) {
  const host = hostPlatform()
  const platform = platforms.find((known) => (target === undefined ? known.name === host : known.target === target))
  if (platform === undefined && target !== undefined) {
    throw new Error(`no addon for the target ${target}; one of: ${platforms.map((known) => known.target).join(', ')}`)
  }
  const obstacle = platform === undefined ? `there is no addon for ${host}` : missingCargo()
  if (obstacle !== null) {
    if (required) throw new Error(`the native addon is required, but ${obstacle}`)
    console.error(`liminal-bus: the TypeScript codec will be used, because ${obstacle}`)
    return false
  }
  const environment = { ...process.env, CARGO_ENCODED_RUSTFLAGS: rustFlags(platform).join('\x1f') }
  const options = ['build', '--release', '--locked', '-p', 'liminal-node', '--message-format=json-render-diagnostics']
  if (target !== undefined) options.push('--target', target)
  const build = spawnSync('cargo', options, {
    cwd: ROOT,
    env: environment,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (build.error !== undefined) throw new Error('cargo could not be run', { cause: build.error })
  if (build.status !== 0) {
    throw new Error(`cargo build failed (${build.signal ?? `exit code ${build.status}`}); its messages are above`)
  }

  const library = builtLibrary(build.stdout, libraryName(platform.os))
  const addon = resolve(out, addonName(platform))
  mkdirSync(dirname(addon), { recursive: true })
  replaceFile(library, addon)
  return addon
}

/** What the compiler is told beside the profile: the flags of the environment first. */
function rustFlags(platform) {
  const flags = (process.env.RUSTFLAGS ?? '').split(' ').filter((flag) => flag !== '')
  // Panics name the file they are in: no folder of this machine should be told.
  const cargoHome = process.env.CARGO_HOME ?? join(homedir(), '.cargo')
  flags.push(`--remap-path-prefix=${cargoHome}=/cargo`, `--remap-path-prefix=${ROOT}=/liminal-bus`)
  // The musl targets link statically by default, which cannot make a shared library.
  if (platform.libc === 'musl') flags.push('-C', 'target-feature=-crt-static')
  return flags
}

/** The path of the library, from cargo's own report: it alone knows the target directory. */
function builtLibrary(report, name) {
  for (const line of report.split('\n')) {
    if (!line.startsWith('{')) continue
    const message = JSON.parse(line)
    const file = message.reason === 'compiler-artifact' && message.filenames.find((path) => path.endsWith(name))
    if (file) return file
  }
  throw new Error(`cargo built no ${name}`)
}

/** Replaces a file that running processes may have mapped: they keep the old one. */
function replaceFile(source, destination) {
  const temporary = `${destination}.${process.pid}.tmp`
  try {
    copyFileSync(source, temporary)
    renameSync(temporary, destination)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    const { values } = parseArgs({
      options: { target: { type: 'string' }, out: { type: 'string' }, required: { type: 'boolean' } },
    })
    const addon = buildNative(values)
    if (addon !== false) console.log(addon)
  } catch (error) {
    console.error(`liminal-bus: ${error.message}`)
    process.exitCode = 1
  }
}
