import { mkdtempSync, readFileSync, rmSync, watch } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CommandRunner } from '../../ts/cli/command-runner.ts'

const NEVER = new AbortController().signal
const bytes = (value: string) => Buffer.from(value)

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'liminal-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Resolves with a file's text once there is some. */
async function written(path: string): Promise<string> {
  return new Promise((resolve) => {
    const look = () => {
      try {
        const text = readFileSync(path, 'utf8')
        if (!text.endsWith('\n')) return
        watcher.close()
        resolve(text.trim())
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
      }
    }
    const watcher = watch(folder, look)
    look()
  })
}

describe.skipIf(process.platform === 'win32')('commands as responders', () => {
  it('gives the request to stdin and takes the reply from stdout', async () => {
    const reply = await new CommandRunner('cat', 1).run(bytes('{"a":1}\n'), NEVER)
    expect(Buffer.from(reply).toString()).toBe('{"a":1}')
  })

  it('does not mind a command that leaves its input unread', async () => {
    const reply = await new CommandRunner('echo 7', 1).run(Buffer.alloc(1_000_000, 0x20), NEVER)
    expect(Buffer.from(reply).toString()).toBe('7')
  })

  it('fails with the exit code and what the command complained of', async () => {
    const run = new CommandRunner('echo "no such order" >&2; exit 3', 1).run(bytes('1'), NEVER)
    await expect(run).rejects.toMatchObject({
      code: 'RESPONDER_FAILED',
      message: 'the command ended with exit code 3: no such order',
    })
  })

  it('fails where the output is no JSON', async () => {
    await expect(new CommandRunner('echo hello', 1).run(bytes('1'), NEVER)).rejects.toMatchObject({
      code: 'PAYLOAD_INVALID',
    })
  })

  it('kills the command and its children when nobody waits any more', async () => {
    const file = join(folder, 'started')
    const controller = new AbortController()
    const run = new CommandRunner(`sh -c 'echo yes > ${file}; sleep 600' ; echo 1`, 1).run(
      bytes('1'),
      controller.signal,
    )
    expect(await written(file)).toBe('yes')
    controller.abort(new Error('gone'))
    // It settles when the command's output is closed, and the sleeping grandchild held that open as long as it lived.
    await expect(run).rejects.toMatchObject({ code: 'ABORTED' })
  })

  it('runs as many at a time as allowed, the others in the order they came', async () => {
    const log = join(folder, 'log')
    const runner = new CommandRunner(`read n; echo "start $n" >> ${log}; echo "end $n" >> ${log}; echo $n`, 1)
    const replies = await Promise.all([1, 2, 3].map((n) => runner.run(bytes(`${n}\n`), NEVER)))
    expect(replies.map((reply) => Buffer.from(reply).toString())).toEqual(['1', '2', '3'])
    expect(readFileSync(log, 'utf8').trim().split('\n')).toEqual([
      'start 1',
      'end 1',
      'start 2',
      'end 2',
      'start 3',
      'end 3',
    ])
  })

  it('never starts a command whose turn comes after its asker left, and goes on with the next one', async () => {
    const runner = new CommandRunner('read n; echo $n', 1)
    const controller = new AbortController()
    const first = runner.run(bytes('1\n'), NEVER)
    const second = runner.run(bytes('2\n'), controller.signal)
    const third = runner.run(bytes('3\n'), NEVER)
    controller.abort()
    await expect(second).rejects.toMatchObject({ code: 'ABORTED' })
    expect((await Promise.all([first, third])).map((reply) => Buffer.from(reply).toString())).toEqual(['1', '3'])
  })
})
