import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Cli, liminal, MAIN, startResponder, startServer } from './cli.ts'
import { HangingCommand } from './hanging-command.ts'

describe('liminal serve', () => {
  it('says where it listens as one line of JSON', async () => {
    const { server, url } = await startServer()
    expect(JSON.parse(server.stdout)).toEqual({
      listening: { host: '127.0.0.1', port: Number(new URL(url).port), url },
    })
    expect(server.stdout.split('\n')).toHaveLength(2)
  })

  it.each(['SIGINT', 'SIGTERM'] as const)('closes by %s with exit code 0', async (signal) => {
    const { server, url } = await startServer('--echo')
    expect((await liminal(['ask', 'echo', '1', '--url', url])).stdout).toBe('1\n')
    server.signal(signal)
    expect(await server.exited()).toEqual({ code: 0, signal: null })
  })

  it('finishes requests underway before it ends', async () => {
    const { server, url } = await startServer('--grace', '60000')
    const command = await HangingCommand.create()
    await startResponder(url, 'slow', '--exec', command.line)
    const asker = new Cli(['ask', 'slow', '1', '--url', url, '--timeout', '60000'])
    await command.started
    server.signal('SIGTERM')
    await server.noted(/^closing/)
    await command.finish('"finished"\n')
    expect((await asker.exited()).code).toBe(0)
    expect(asker.stdout).toBe('"finished"\n')
    expect(await server.exited()).toEqual({ code: 0, signal: null })
    command.close()
  })

  it('does not wait for requests underway after a second signal', async () => {
    const { server, url } = await startServer('--grace', '60000')
    const command = await HangingCommand.create()
    await startResponder(url, 'slow', '--exec', command.line)
    const asker = new Cli(['ask', 'slow', '1', '--url', url, '--timeout', '60000'])
    await command.started
    server.signal('SIGTERM')
    await server.noted(/^closing/)
    server.signal('SIGTERM')
    expect(await server.exited()).toEqual({ code: 143, signal: null })
    expect((await asker.exited()).code).toBe(3)
    await command.died
    command.close()
  })

  it('cannot listen where somebody else does: exit code 3', async () => {
    const other = createTcpServer()
    await new Promise<void>((listening) => other.listen(0, '127.0.0.1', listening))
    const address = other.address()
    const port = typeof address === 'object' ? String(address?.port) : ''
    try {
      const { code, stderr, stdout } = await liminal(['serve', '--port', port, '--json'])
      expect(code).toBe(3)
      expect(JSON.parse(stderr).error).toMatchObject({ code: 'LISTEN_FAILED', hint: expect.stringContaining('--port') })
      expect(stdout).toBe('')
    } finally {
      await new Promise((closed) => other.close(closed))
    }
  })

  it('creates no channels on demand unless told to', async () => {
    const { url } = await startServer('--channel', 'orders')
    const known = await liminal(['pub', 'orders', '1', '--url', url])
    expect(known.code).toBe(0)
    expect(known.stdout).toMatch(/^published \d+ to orders: no subscriber was there\n$/)
    const unknown = await liminal(['pub', 'other', '1', '--url', url])
    expect(unknown.code).toBe(1)
    expect(unknown.stderr).toMatch(/^CHANNEL_NOT_FOUND: /)
    expect(unknown.stderr).toContain('hint: ')
    const { url: generous } = await startServer('--create-channels')
    expect((await liminal(['pub', 'other', '1', '--url', generous])).code).toBe(0)
  })

  it('checks messages against the schema of the channel', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'liminal-'))
    try {
      const schema = join(folder, 'orders.json')
      writeFileSync(schema, JSON.stringify({ type: 'object', required: ['id'] }))
      const { url } = await startServer('--channel', `orders=${schema}`)
      expect((await liminal(['pub', 'orders', '{"id":1}', '--url', url])).code).toBe(0)
      const refused = await liminal(['pub', 'orders', '{"no":1}', '--url', url, '--json'])
      expect(refused.code).toBe(1)
      expect(JSON.parse(refused.stderr).error.code).toBe('PAYLOAD_INVALID')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('says which schema file it cannot use: exit code 2', async () => {
    const { code, stderr } = await liminal(['serve', '--port', '0', '--channel', 'orders=/does/not/exist.json'])
    expect(code).toBe(2)
    expect(stderr).toMatch(/^INVALID_ARGUMENT: cannot read \/does\/not\/exist\.json/)
  })

  it('lets in only who has the token', async () => {
    const { url } = await startServer('--channel', 'orders', '--auth-token', 'secret')
    const stranger = await liminal(['pub', 'orders', '1', '--url', url])
    expect(stranger.code).toBe(3)
    expect(stranger.stderr).toContain('AuthenticationFailure: ')
    expect((await liminal(['pub', 'orders', '1', '--url', url, '--auth-token', 'secret'])).code).toBe(0)
    const environment = { LIMINAL_URL: url, LIMINAL_AUTH_TOKEN: 'secret' }
    expect((await liminal(['pub', 'orders', '1'], { environment })).code).toBe(0)
  })

  it('prints three commands to try next that work as they are printed', async () => {
    const server = new Cli(['serve', '--welcome', '--port', '0'])
    await server.printed(/--help shows the rest/)
    const lines = server.stdout.split('\n').filter((line) => /^ {2}\S/.test(line))
    const commands = lines.map((line) => words(line.trim()))
    for (const [program, script] of commands) {
      expect(program).toBe('node')
      expect(resolve(script)).toBe(MAIN)
    }
    const args = commands.map((command) => command.slice(2))
    expect(args.map(([command]) => command)).toEqual(['sub', 'pub', 'ask'])

    const [sub, pub, ask] = args
    const subscriber = new Cli(sub)
    await subscriber.noted(/^subscribed to orders$/)
    expect((await liminal(pub)).stdout).toMatch(/delivered/)
    expect(await subscriber.printed(/./)).toBe('{"id":1}')
    expect((await liminal(ask)).stdout).toBe('{"hello":"world"}\n')
  })
})

/** The words of a shell line whose only quotes are single ones. */
function words(line: string): string[] {
  return line.split(' ').map((word) => word.replace(/^'(.*)'$/, '$1'))
}
