/**
 * Instructions that the hot functions of native/core take, counted by callgrind: unlike times they do not depend on what else the machine does.
 *
 *     npx tsx bench/codec/instructions.ts             counts, and compares with bench/codec/instructions.json
 *     npx tsx bench/codec/instructions.ts --update    counts, and writes that file
 *
 * A workload's count is the difference between many runs and few, so that what a process needs to start is not in it.
 */
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'

/** What the counts depend on beside the code. */
export interface Toolchain {
  readonly rustc: string
  readonly valgrind: string
  /** Its memcpy is counted too. */
  readonly glibc: string
  readonly system: string
  readonly architecture: string
}

/** Counts and what they were made with, as committed. */
export interface Snapshot {
  readonly toolchain: Toolchain
  /** By workload, to one decimal. An operation is a frame, a name or a schema. */
  readonly instructionsPerOperation: Readonly<Record<string, number>>
}

/** How far a count may be from the committed one, as a part of it. */
export const TOLERANCE = 0.03

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const SNAPSHOT = new URL('instructions.json', import.meta.url)
const EXAMPLE = ['-p', 'liminal-core', '--example', 'instructions']
const FEW = 20
const MANY = 220

/** The committed counts. */
export function committedSnapshot(): Snapshot {
  const snapshot: Snapshot = JSON.parse(readFileSync(SNAPSHOT, 'utf8'))
  return snapshot
}

/** What is installed here; a sentence if a tool is missing. */
export async function installedToolchain(): Promise<Toolchain | string> {
  const rustc = await version('rustc', '--version')
  if (rustc === null) return 'rustc is not installed (https://rustup.rs)'
  const valgrind = await version('valgrind', '--version')
  if (valgrind === null) return 'valgrind is not installed (on Debian: apt-get install valgrind)'
  const glibc = (await version('getconf', 'GNU_LIBC_VERSION')) ?? 'unknown'
  const system = /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown'
  return { rustc, valgrind, glibc, system, architecture: process.arch }
}

/** Builds the example that runs the workloads, as the addon is built, and returns its path. @throws Error if cargo fails. */
export async function buildWorkloads(): Promise<string> {
  const { RUSTFLAGS, CARGO_ENCODED_RUSTFLAGS, ...environment } = process.env
  const options = ['build', '--release', '--locked', ...EXAMPLE, '--message-format=json-render-diagnostics']
  const { stdout } = await run('cargo', options, { cwd: ROOT, env: environment, maxBuffer: 64 * 1024 * 1024 })
  for (const line of stdout.split('\n')) {
    const file: unknown = line.startsWith('{') ? JSON.parse(line).executable : null
    if (typeof file === 'string') return file
  }
  throw new Error('cargo built no example')
}

/** Counts every workload, two at a time. @throws Error if callgrind fails. */
export async function countInstructions(executable: string): Promise<Record<string, number>> {
  const { stdout } = await run(executable)
  const workloads = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
  const counts: Record<string, number> = {}
  for (const [name, operations] of workloads) {
    const [few, many] = await Promise.all([collected(executable, name, FEW), collected(executable, name, MANY)])
    counts[name] = Number(((many - few) / (MANY - FEW) / Number(operations)).toFixed(1))
  }
  return counts
}

/** What differs by more than the tolerance, in either direction, a sentence each: a count that fell is to be kept as well. */
export function differences(
  committed: Readonly<Record<string, number>>,
  counted: Readonly<Record<string, number>>,
): string[] {
  const names = new Set([...Object.keys(committed), ...Object.keys(counted)])
  return [...names].flatMap((name) => {
    const before = committed[name]
    const now = counted[name]
    if (before === undefined) return [`${name} takes ${now} instructions and is not in the snapshot`]
    if (now === undefined) return [`${name} is in the snapshot and no workload any more`]
    const change = now / before - 1
    if (Math.abs(change) <= TOLERANCE) return []
    return [
      `${name} takes ${now} instructions instead of ${before} (${change > 0 ? '+' : ''}${(change * 100).toFixed(1)} %)`,
    ]
  })
}

/** The part of `rustc 1.95.0 (...)`, `valgrind-3.19.0` or `glibc 2.36` that is a version; null if there is no such program. */
async function version(program: string, argument: string): Promise<string | null> {
  try {
    const { stdout } = await run(program, [argument])
    return /\d+(\.\d+)+/.exec(stdout)?.[0] ?? stdout.trim()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

async function collected(executable: string, name: string, times: number): Promise<number> {
  const callgrind = ['--tool=callgrind', '--callgrind-out-file=/dev/null']
  // The environment lies on the stack of a new process: an empty one is the same everywhere.
  const options = { env: { PATH: process.env.PATH } }
  const { stderr } = await run('valgrind', [...callgrind, executable, name, String(times)], options)
  const count = /Collected : (\d+)/.exec(stderr)?.[1]
  if (count === undefined) throw new Error(`callgrind reported no count for ${name}:\n${stderr}`)
  return Number(count)
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { update: { type: 'boolean', default: false } } })
  const toolchain = await installedToolchain()
  if (typeof toolchain === 'string') throw new Error(toolchain)
  const counted = await countInstructions(await buildWorkloads())
  if (values.update) {
    const snapshot: Snapshot = { toolchain, instructionsPerOperation: counted }
    writeFileSync(SNAPSHOT, `${JSON.stringify(snapshot, null, 2)}\n`)
    console.log(`Wrote ${fileURLToPath(SNAPSHOT)}`)
    return
  }
  console.table(counted)
  const found = differences(committedSnapshot().instructionsPerOperation, counted)
  for (const difference of found) console.error(difference)
  if (found.length > 0) process.exitCode = 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
