import { readdirSync, readFileSync } from 'node:fs'
import { loadavg } from 'node:os'

/** CPU time that a process and its children used so far, user and system together, in microseconds. */
export function cpuMicroseconds(pid: number): number {
  return familyOf(pid).reduce((sum, member) => sum + nanoseconds(member), 0) / 1_000
}

/** Resident memory of a process and its children, in bytes: now, and at its largest. */
export function memoryBytes(pid: number): { resident: number; peak: number } {
  const sum = { resident: 0, peak: 0 }
  for (const member of familyOf(pid)) {
    const status = ifThere(() => readFileSync(`/proc/${member}/status`, 'utf8')) ?? ''
    sum.resident += kibibytes(status, 'VmRSS') * 1_024
    sum.peak += kibibytes(status, 'VmHWM') * 1_024
  }
  if (sum.resident === 0) throw new Error(`Process ${pid}, which is being measured, is gone.`)
  return sum
}

/** What the whole machine was busy with so far, in seconds of one processor. */
export interface MachineUsage {
  readonly busy: number
  /** Taken by the machine's host. */
  readonly stolen: number
}

/** Clock ticks of /proc: 100 a second on every Linux that Node runs on. */
const TICKS = 100

export function machineUsage(): MachineUsage {
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]
  const [user, nice, system, , , interrupts, softInterrupts, stolen] = line.trim().split(/\s+/).slice(1).map(Number)
  return { busy: (user + nice + system + interrupts + softInterrupts) / TICKS, stolen: stolen / TICKS }
}

/** Processes that ran or wanted to, on average over the last minute. */
export function loadAverage(): number {
  return loadavg()[0]
}

function familyOf(pid: number): number[] {
  const children = threadsOf(pid).flatMap((thread) => {
    const listed = ifThere(() => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')) ?? ''
    return listed.trim().split(/\s+/).filter(Boolean).map(Number)
  })
  return [pid, ...children.flatMap(familyOf)]
}

/** Exact, from the scheduler: the ticks of /proc/pid/stat are 10 ms each. */
function nanoseconds(pid: number): number {
  return threadsOf(pid).reduce((sum, thread) => {
    const spent = ifThere(() => readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8')) ?? '0'
    return sum + Number(spent.split(' ', 1)[0])
  }, 0)
}

function threadsOf(pid: number): string[] {
  return ifThere(() => readdirSync(`/proc/${pid}/task`)) ?? []
}

function kibibytes(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0)
}

/** Threads and children may end between being listed and being looked at: null then. */
function ifThere<Value>(look: () => Value): Value | null {
  try {
    return look()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ESRCH') return null
    throw error
  }
}
