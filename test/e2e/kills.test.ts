import { describe, expect, it } from 'vitest'
import { Cli, liminal, startResponder, startServer, startSub } from './cli.ts'
import { HangingCommand } from './hanging-command.ts'

const MESSAGES = 20_000

/** Writes numbered JSON lines for as long as the process takes them, until told to stop; resolves with how many. */
function feed(cli: Cli, count: number): { readonly started: Promise<void>; readonly done: Promise<void> } {
  let start: () => void = () => undefined
  const started = new Promise<void>((resolve) => {
    start = resolve
  })
  const write = async () => {
    for (let id = 0; id < count; id++) {
      if (cli.stdin.destroyed) return
      if (id === Math.floor(count / 10)) start()
      if (!cli.stdin.write(`{"id":${id}}\n`)) await writable(cli)
    }
    cli.stdin.end()
  }
  return { started, done: write() }
}

/** Resolves once there is room in stdin again, or never will be. */
function writable({ stdin }: Cli): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stdin.off('drain', done).off('close', done)
      resolve()
    }
    stdin.on('drain', done).on('close', done)
  })
}

function numbered(count: number): string {
  return Array.from({ length: count }, (_, id) => `{"id":${id}}\n`).join('')
}

describe('kill -9 in the middle of traffic', () => {
  it('of a subscriber leaves the publisher and the other subscriber unharmed', async () => {
    const { url } = await startServer('--channel', 'orders', '--echo')
    const honest = await startSub(url, 'orders', '--ndjson', '--count', String(MESSAGES))
    const victim = await startSub(url, 'orders', '--ndjson')
    const publisher = new Cli(['pub', 'orders', '--ndjson', '--url', url, '--json'])
    const traffic = feed(publisher, MESSAGES)
    await victim.printed(/./)
    await traffic.started
    expect((await victim.kill()).signal).toBe('SIGKILL')
    await traffic.done
    expect((await publisher.exited()).code).toBe(0)
    expect(JSON.parse(publisher.stdout)).toMatchObject({ published: MESSAGES, delivered: MESSAGES })
    expect((await honest.exited()).code).toBe(0)
    expect(honest.stdout).toBe(numbered(MESSAGES))
    expect((await liminal(['ask', 'echo', '1', '--url', url])).stdout).toBe('1\n')
  })

  it('of a publisher leaves the subscriber and the other publisher unharmed', async () => {
    const { url } = await startServer('--channel', 'orders', '--channel', 'noise')
    const honest = await startSub(url, 'orders', '--ndjson', '--count', String(MESSAGES))
    const noise = await startSub(url, 'noise', '--ndjson')
    const victim = new Cli(['pub', 'noise', '--ndjson', '--url', url])
    const publisher = new Cli(['pub', 'orders', '--ndjson', '--url', url])
    const endless = feed(victim, Number.POSITIVE_INFINITY)
    await noise.printed(/./)
    const traffic = feed(publisher, MESSAGES)
    await traffic.started
    expect((await victim.kill()).signal).toBe('SIGKILL')
    await Promise.all([traffic.done, endless.done])
    expect((await publisher.exited()).code).toBe(0)
    expect((await honest.exited()).code).toBe(0)
    expect(honest.stdout).toBe(numbered(MESSAGES))
    // The subscriber of the dead publisher goes on with the next one.
    expect((await liminal(['pub', 'noise', '"still here"', '--url', url])).code).toBe(0)
    await noise.printed(/^"still here"$/)
    const received = noise.stdout.split('\n').slice(0, -2)
    expect(received).toEqual(received.map((_, id) => `{"id":${id}}`))
  })

  it('of a responder fails its request at once, and the other responder takes over', async () => {
    const { url } = await startServer('--channel', 'orders')
    const honest = await startSub(url, 'orders', '--ndjson', '--count', String(MESSAGES))
    const publisher = new Cli(['pub', 'orders', '--ndjson', '--url', url])
    const command = await HangingCommand.create()
    const victim = await startResponder(url, 'work', '--exec', command.line)
    const asker = new Cli(['ask', 'work', '1', '--url', url, '--timeout', '60000', '--json'])
    await command.started
    const survivor = await startResponder(url, 'work', '--echo')
    const traffic = feed(publisher, MESSAGES)
    await traffic.started
    const killedAt = performance.now()
    await victim.kill()
    expect((await asker.exited()).code).toBe(1)
    expect(JSON.parse(asker.stderr).error).toMatchObject({ code: 'PARTICIPANT_GONE', retryable: true })
    // Far below any timeout in play: the connection's end is what tells.
    expect(performance.now() - killedAt).toBeLessThan(10_000)
    for (const request of ['1', '2', '3']) {
      expect((await liminal(['ask', 'work', request, '--url', url])).stdout).toBe(`${request}\n`)
    }
    await traffic.done
    expect((await publisher.exited()).code).toBe(0)
    expect((await honest.exited()).code).toBe(0)
    expect(honest.stdout).toBe(numbered(MESSAGES))
    survivor.signal('SIGTERM')
    expect((await survivor.exited()).code).toBe(0)
    command.close()
  })
})
