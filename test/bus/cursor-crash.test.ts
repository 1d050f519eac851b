import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

/** What `cursor-process.mjs` is to do. */
interface CursorProcessTask {
  readonly dataDir: string
  /** Publishes so many messages, each its position. */
  readonly publish: number
  /** Takes so many deliveries. */
  readonly take: number
  /** Accepts those of these positions, each alone, and writes that down. */
  readonly accept: readonly number[]
  readonly maxAttempts?: number
  /** Kills itself when it sees this message. */
  readonly dies?: number
}

/** What it saw. */
interface CursorProcessSaw {
  /** As `position/attempt`. */
  readonly deliveries: readonly string[]
  /** Where the cursor is then. */
  readonly position: string
  readonly deadLetters: readonly string[]
}

const BUILT = new URL('../../dist/bus/index.js', import.meta.url)

let dataDir = ''
const children: ChildProcess[] = []

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'liminal-cursor-'))
})
afterEach(async () => {
  for (const child of children.splice(0)) await kill(child)
  await rm(dataDir, { recursive: true })
})

function start(task: Omit<CursorProcessTask, 'dataDir'>): ChildProcess {
  if (!existsSync(BUILT)) throw new Error('dist/bus/index.js is missing: run `npm run build` first')
  const program = new URL('./cursor-process.mjs', import.meta.url)
  const child = fork(program, [JSON.stringify({ dataDir, ...task })], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  children.push(child)
  return child
}

/** `kill -9`, unless it has ended; resolves once it is gone. */
async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

/** What a bus saw that did a task and was killed then. */
async function lifeOf(task: Omit<CursorProcessTask, 'dataDir'>): Promise<CursorProcessSaw> {
  const child = start(task)
  const exited = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`It ended before it was done: ${code} ${signal}`)
  })
  const [saw]: CursorProcessSaw[] = await Promise.race([once(child, 'message'), exited])
  exited.catch(() => {})
  await kill(child)
  return saw
}

describe('a cursor of a bus that is killed', () => {
  it('redelivers exactly what was not accepted, with an attempt more each time, and then what is new', async () => {
    const first = await lifeOf({ publish: 8, take: 8, accept: [0, 2, 5] })
    expect(first.deliveries).toEqual(['0/1', '1/1', '2/1', '3/1', '4/1', '5/1', '6/1', '7/1'])
    expect(first.position).toBe('1')
    const second = await lifeOf({ publish: 2, take: 7, accept: [1, 4] })
    expect(second.deliveries).toEqual(['1/2', '3/2', '4/2', '6/2', '7/2', '8/1', '9/1'])
    expect(second.position).toBe('3')
    const third = await lifeOf({ publish: 0, take: 5, accept: [3, 6, 7, 8, 9] })
    expect(third.deliveries).toEqual(['3/3', '6/3', '7/3', '8/2', '9/2'])
    expect(third.position).toBe('10')
    const fourth = await lifeOf({ publish: 1, take: 1, accept: [10] })
    expect(fourth.deliveries).toEqual(['10/1'])
  })

  it('gives up a message that kills the bus each time it is delivered, and goes on behind it', async () => {
    for (let attempt = 1; attempt <= 2; attempt++) {
      const child = start({ publish: attempt === 1 ? 3 : 0, take: 3, accept: [0], maxAttempts: 2, dies: 1 })
      const [code, signal] = await once(child, 'exit')
      expect([code, signal]).toEqual([null, 'SIGKILL'])
    }
    const last = await lifeOf({ publish: 0, take: 1, accept: [2], maxAttempts: 2, dies: 1 })
    expect(last.deliveries).toEqual(['2/1'])
    expect(last.position).toBe('3')
    expect(last.deadLetters).toEqual([
      '1: cursor billing, after 2 attempts: Its subscription ended before it was accepted.',
    ])
  })
})
