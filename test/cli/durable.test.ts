import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Interrupted } from '../../ts/cli/context.ts'
import { run } from '../../ts/cli/program.ts'
import { MemoryStore } from '../../ts/durability/index.ts'
import { type BusServer, createServer } from '../../ts/server/index.ts'
import { eventually } from '../eventually.ts'
import { Collected } from './streams.ts'

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

async function liminal(...argv: string[]): Promise<Ran> {
  const stdout = new Collected()
  const stderr = new Collected()
  const signal = new AbortController().signal
  const code = await run({ argv, stdin: Readable.from([]), stdout, stderr, environment: {}, signal })
  return { code, stdout: stdout.text, stderr: stderr.text }
}

async function start(...values: number[]): Promise<BusServer> {
  const channels = [{ name: 'orders', durable: true }, { name: 'ticks' }]
  const server = await createServer({ port: 0, store: new MemoryStore(), channels, createChannels: false })
  onTestFinished(() => server.close({ graceMs: 0 }))
  for (const value of values) await server.bus.channel('orders').publish(value)
  return server
}

function documents({ stdout }: Ran): unknown[] {
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

describe('liminal pub', () => {
  it('sends what has a key once, with and without waiting for acknowledgements', async () => {
    const server = await start()
    for (const flags of [['--send'], ['--send'], []]) {
      const { code } = await liminal('pub', 'orders', '7', '--key', 'o-7', ...flags, '--url', server.url)
      expect(code).toBe(0)
    }
    const messages = await server.bus.administration.peek('orders')
    expect(messages.map(({ idempotencyKey }) => idempotencyKey)).toEqual(['o-7'])
  })
})

describe('liminal channel', () => {
  it('lists channels', async () => {
    const { url } = await start(1, 2)
    const { code, stdout } = await liminal('channel', 'ls', '--url', url)
    expect(code).toBe(0)
    const [head, orders, ticks] = stdout.split('\n').map((line) => line.split(/ +/))
    expect(head).toEqual(['CHANNEL', 'SYNC', 'SUBSCRIBERS', 'MESSAGES', 'BYTES', 'NEXT'])
    expect(orders).toEqual(['orders', 'each', '0', '2', expect.stringMatching(/^\d+$/), '2'])
    expect(ticks).toEqual(['ticks', '-', '0', '-', '-', '-'])
    expect(documents(await liminal('channel', 'ls', '--json', '--url', url))).toEqual([
      expect.objectContaining({ name: 'orders', durable: true, first: '0', next: '2', sync: 'each' }),
      expect.objectContaining({ name: 'ticks', durable: false, next: null }),
    ])
  })

  it('tells of one', async () => {
    const server = await start(1)
    await server.bus.administration.setCursor('orders', 'billing', 'earliest')
    const { stdout } = await liminal('channel', 'info', 'orders', '--url', server.url)
    expect(stdout).toMatch(/^durable +yes, sync 'each'$/m)
    expect(stdout).toMatch(/^next +1, behind \d{4}-/m)
    expect(stdout).toMatch(/^cursor +billing at 0, 1 to go$/m)
    expect((await liminal('channel', 'info', 'ticks', '--url', server.url)).stdout).toMatch(/^durable +no$/m)
    const missing = await liminal('channel', 'info', 'nowhere', '--json', '--url', server.url)
    expect(missing.code).toBe(1)
    expect(JSON.parse(missing.stderr).error).toMatchObject({ code: 'CHANNEL_NOT_FOUND' })
  })

  it('shows messages', async () => {
    const server = await start(1, 2, 3)
    await server.bus.channel('orders').publish({ id: 4 }, { idempotencyKey: 'o-4' })
    const { stdout } = await liminal('channel', 'peek', 'orders', '--url', server.url)
    expect(stdout.split('\n').map((line) => line.replace(/ {2}\S+Z {2}/, ' '))).toEqual([
      '0 1',
      '1 2',
      '2 3',
      '3 {"id":4}',
      '',
    ])
    const last = await liminal(
      'channel',
      'peek',
      'orders',
      '--from',
      'latest',
      '--limit',
      '1',
      '--json',
      '--url',
      server.url,
    )
    expect(documents(last)).toEqual([
      expect.objectContaining({ position: '3', idempotencyKey: 'o-4', value: { id: 4 }, parentId: null }),
    ])
  })

  it('purges, if it is told what', async () => {
    const { url } = await start(1, 2, 3)
    expect((await liminal('channel', 'purge', 'orders', '--url', url)).code).toBe(2)
    expect((await liminal('channel', 'purge', 'orders', '--all', '--before', '1', '--url', url)).code).toBe(2)
    expect((await liminal('channel', 'purge', 'orders', '--before', '1', '--url', url)).stdout).toBe(
      'removed 1 message of orders\n',
    )
    expect(documents(await liminal('channel', 'purge', 'orders', '--all', '--json', '--url', url))).toEqual([
      { channel: 'orders', removed: '2' },
    ])
  })
})

describe('liminal channel rm', () => {
  it('removes a durable channel, and no other', async () => {
    const { url } = await start(1, 2)
    expect(await liminal('channel', 'rm', 'orders', '--url', url)).toMatchObject({
      code: 0,
      stdout: 'channel orders is removed\n',
    })
    expect(documents(await liminal('channel', 'ls', '--json', '--url', url))).toMatchObject([{ name: 'ticks' }])
    expect((await liminal('channel', 'rm', 'orders', '--url', url)).stderr).toContain('CHANNEL_NOT_FOUND')
    expect((await liminal('channel', 'rm', 'ticks', '--url', url)).stderr).toContain('NOT_SUPPORTED')
  })

  it('says so to scripts', async () => {
    const { url } = await start(1)
    const removed = await liminal('channel', 'rm', 'orders', '--json', '--url', url)
    expect(documents(removed)).toEqual([{ channel: 'orders', removed: true }])
  })
})

describe('liminal cursor', () => {
  it('makes, lists, moves and forgets', async () => {
    const { url } = await start(1, 2, 3)
    expect((await liminal('cursor', 'set', 'orders', 'audit', '1', '--url', url)).stdout).toBe(
      'cursor audit of orders is at 1, 2 to go\n',
    )
    const { stdout } = await liminal('cursor', 'ls', '--url', url)
    expect(stdout.split('\n').map((line) => line.split(/ +/))).toEqual([
      ['CHANNEL', 'CURSOR', 'POSITION', 'LAG', 'OWNED'],
      ['orders', 'audit', '1', '2', 'no'],
      [''],
    ])
    const future = new Date(Date.now() + 60_000).toISOString()
    expect(documents(await liminal('cursor', 'set', 'orders', 'audit', future, '--json', '--url', url))).toEqual([
      { channel: 'orders', name: 'audit', position: '3', lag: '0', owned: false },
    ])
    expect((await liminal('cursor', 'rm', 'orders', 'audit', '--url', url)).code).toBe(0)
    expect((await liminal('cursor', 'rm', 'orders', 'audit', '--url', url)).stderr).toContain('CURSOR_NOT_FOUND')
    expect((await liminal('cursor', 'set', 'orders', 'audit', 'newest', '--url', url)).code).toBe(2)
  })
})

describe('liminal pub and sub on a durable channel', () => {
  it('say where a message is', async () => {
    const { url } = await start(1)
    expect((await liminal('pub', 'orders', '2', '--url', url)).stdout).toMatch(
      /^published \d+ to orders at position 1:/,
    )
    expect(documents(await liminal('pub', 'orders', '3', '--key', 'a', '--json', '--url', url))).toEqual([
      expect.objectContaining({ position: '2', duplicate: false }),
    ])
    expect((await liminal('pub', 'ticks', '3', '--url', url)).stdout).not.toContain('position')
    const { stdout } = await liminal('sub', 'orders', '--from', '1', '--count', '2', '--url', url)
    expect(stdout).toBe('2\n3\n')
    expect(
      documents(await liminal('sub', 'orders', '--from', 'earliest', '--count', '1', '--json', '--url', url)),
    ).toEqual([expect.objectContaining({ position: '0', attempt: 1, value: 1 })])
  })

  it('print for a cursor what it has not printed, once', async () => {
    const { url } = await start(1, 2, 3, 4)
    const sub = (...more: string[]) => liminal('sub', 'orders', '--cursor', 'audit', ...more, '--url', url)
    expect((await sub('--from', 'earliest', '--count', '1')).stdout).toBe('1\n')
    expect((await sub('--count', '2')).stdout).toBe('2\n3\n')
    const { stdout } = await liminal('cursor', 'ls', 'orders', '--json', '--url', url)
    expect(JSON.parse(stdout)).toMatchObject({ name: 'audit', position: '3', lag: '1', owned: false })
    expect((await sub('--timeout', '50', '--count', '2')).code).toBe(4)
  })

  it('need what belongs together', async () => {
    const { url } = await start()
    expect((await liminal('sub', 'orders', '--max-attempts', '2', '--url', url)).code).toBe(2)
    expect((await liminal('sub', 'orders', '--from', 'yesterday', '--url', url)).code).toBe(2)
    const refused = await liminal('sub', 'ticks', '--cursor', 'audit', '--url', url)
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain('NOT_SUPPORTED')
  })
})

describe('liminal serve with a data directory', () => {
  async function serving(dataDir: string, ...more: string[]) {
    const stdout = new Collected()
    const stop = new AbortController()
    const argv = ['serve', '--port', '0', '--json', '--data-dir', dataDir, ...more]
    const stderr = new Collected()
    const ended = run({ argv, stdin: Readable.from([]), stdout, stderr, environment: {}, signal: stop.signal })
    const up = new Promise<string>((resolve) =>
      stdout.on('written', () => {
        if (stdout.text !== '') resolve(stdout.text)
      }),
    )
    const first = await Promise.race([up, ended.then(() => stderr.text)])
    const end = (): Promise<number> => {
      stop.abort(new Interrupted('SIGTERM'))
      return ended
    }
    return { first, end }
  }

  it('keeps messages from one run to the next', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'liminal-cli-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const dataDir = join(directory, 'data')
    const one = await serving(dataDir, '--durable-channel', 'orders', '--sync', 'interval')
    const url = JSON.parse(one.first).listening.url
    await liminal('pub', 'orders', '1', '--url', url)
    const locked = await serving(dataDir)
    expect(JSON.parse(locked.first).error).toMatchObject({ code: 'STORE_LOCKED' })
    expect(await one.end()).toBe(0)
    const two = await serving(dataDir)
    const again = JSON.parse(two.first).listening.url
    expect((await liminal('sub', 'orders', '--from', 'earliest', '--count', '1', '--url', again)).stdout).toBe('1\n')
    expect(await two.end()).toBe(0)
  })

  it('removes what is not to be kept', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'liminal-cli-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const channels = ['--durable-channel', 'orders', '--durable-channel', 'a:b']
    const server = await serving(
      directory,
      ...channels,
      '--retain',
      'a:b:count=2,age=7d',
      '--retain',
      'orders:bytes=1g',
    )
    const url = JSON.parse(server.first).listening.url
    for (const name of ['orders', 'a:b']) {
      for (const value of ['1', '2', '3', '4']) await liminal('pub', name, value, '--url', url)
    }
    await eventually(async () => {
      expect(documents(await liminal('channel', 'ls', '--json', '--url', url))).toMatchObject([
        { name: 'a:b', first: '2', next: '4' },
        { name: 'orders', first: '0', next: '4' },
      ])
    })
    expect(await server.end()).toBe(0)
  })

  it.each([
    ['orders', 'must say of which channel'],
    ['orders:age=7', "'7' is no age"],
    ['orders:age=7w', "'7w' is no age"],
    ['orders:age=0d', "'0d' is no age"],
    ['orders:bytes=1gb', "'1gb' is no bytes"],
    ['orders:bytes=99999999t', 'is no bytes'],
    ['orders:count=', "'' is no count"],
    ['orders:count=1,count=2', "'count' twice"],
    ['orders:past-cursors=yes', 'has no value'],
    ['orders:size=1', "'size' is no limit"],
    ['orders:', "'' is no limit"],
    ['others:count=1', 'needs --durable-channel others'],
  ])('does not begin with --retain %s', async (text, why) => {
    const argv = ['serve', '--port', '0', '--data-dir', '/nowhere', '--durable-channel', 'orders', '--retain', text]
    const { code, stderr } = await liminal(...argv)
    expect(code).toBe(2)
    expect(stderr).toContain(why)
  })

  it('wants one for durable channels', async () => {
    const { code, stderr } = await liminal('serve', '--port', '0', '--durable-channel', 'orders')
    expect(code).toBe(2)
    expect(stderr).toContain('--data-dir')
  })
})
