import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { run } from '../../ts/cli/program.ts'
import { Collected } from './streams.ts'

async function liminal(...argv: string[]) {
  const stdout = new Collected()
  const stderr = new Collected()
  const signal = new AbortController().signal
  const code = await run({ argv, stdin: Readable.from([]), stdout, stderr, environment: {}, signal })
  return { code, stdout: stdout.text, stderr: stderr.text }
}

const COMMANDS = [
  ['serve'],
  ['pub'],
  ['sub'],
  ['ask'],
  ['respond'],
  ['channel', 'ls'],
  ['channel', 'info'],
  ['channel', 'peek'],
  ['channel', 'purge'],
  ['cursor', 'ls'],
  ['cursor', 'set'],
  ['cursor', 'rm'],
  ['bench', 'pubsub'],
  ['bench', 'ask'],
  ['frame', 'decode'],
  ['frame', 'encode'],
  ['demo'],
]

describe('the command line', () => {
  it('explains itself: commands and exit codes', async () => {
    const { code, stdout, stderr } = await liminal('--help')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const [name] of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'))
    expect(stdout).toContain('Exit codes:')
    expect(stdout).toMatch(/^ {2}4 +timeout$/m)
  })

  it.each(COMMANDS.map((words) => [words.join(' '), words]))(
    'shows examples for %s that start with it',
    async (name, words) => {
      const { code, stdout } = await liminal(...words, '--help')
      expect(code).toBe(0)
      const examples = stdout.slice(stdout.indexOf('Examples:'))
      expect(examples).toMatch(new RegExp(`\\$ .*liminal ${name}`))
      expect(stdout).toContain('--json')
    },
  )

  it('knows its version', async () => {
    expect((await liminal('--version')).stdout).toMatch(/^\d+\.\d+\.\d+/)
  })

  it('wants a command', async () => {
    const { code, stdout, stderr } = await liminal()
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain('Usage: liminal')
  })

  it.each([
    ['an unknown command', ['publish'], 'unknown command'],
    ['an unknown option', ['pub', 'orders', '1', '--jsno'], "unknown option '--jsno'"],
    ['a missing argument', ['ask', 'echo'], "missing required argument 'value'"],
    ['too many arguments', ['ask', 'echo', '1', '2'], 'too many arguments'],
    ['a number that is none', ['sub', 'orders', '--count', 'x'], 'Give a whole number from 1'],
    ['a port that is none', ['serve', '--port', '65536'], 'Give a whole number from 0 to 65535'],
    ['a value that is no JSON', ['pub', 'orders', 'hello'], 'not JSON; quote it for the shell, or give --text'],
    ['nothing to publish', ['pub', 'orders'], 'nothing to publish'],
    ['two sources', ['pub', 'orders', '1', '--ndjson'], 'only one of them'],
    ['text and bytes', ['pub', 'orders', 'ab', '--text', '--bytes'], '--text or --bytes'],
    ['a key for many', ['pub', 'orders', '1', '2', '--key', 'a'], '--key is the key of one message'],
    ['a key field without lines', ['pub', 'orders', '1', '--key-field', 'id'], '--key-field needs --ndjson'],
    ['no way to respond', ['respond', 'greet'], 'say how to answer'],
    ['two ways to respond', ['respond', 'greet', '--echo', '--reply', '1'], 'one of them'],
    ['a URL that is none', ['ask', 'echo', '1', '--url', 'http://127.0.0.1'], 'liminal://'],
  ])('refuses %s with exit code 2', async (_, argv, message) => {
    const { code, stdout, stderr } = await liminal(...argv)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^INVALID_ARGUMENT: /)
    expect(stderr).toContain(message)
  })

  it('suggests what may have been meant', async () => {
    expect((await liminal('serv')).stderr).toContain('Did you mean serve?')
  })

  it('gives usage errors as JSON for machines', async () => {
    const { code, stderr } = await liminal('pub', 'orders', '--jsonn', '--json')
    expect(code).toBe(2)
    expect(JSON.parse(stderr).error).toMatchObject({ code: 'INVALID_ARGUMENT', retryable: false })
  })
})
