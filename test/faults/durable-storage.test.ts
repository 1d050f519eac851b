import { spawnSync } from 'node:child_process'
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { BusOptions } from '../../ts/bus/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { peekAll, serve, take, temporaryDirectory } from './durable-fixture.ts'
import { type DurableServer, refusalOf, type ServerProcessOptions } from './durable-server.ts'

function onDirectory(dataDir: string): BusOptions {
  return { dataDir, channels: [{ name: 'orders', durable: true }, { name: 'gossip' }] }
}

/** Whether a command of the system is there and allowed. */
function works(command: string, ...args: string[]): boolean {
  return spawnSync(command, args).status === 0
}

function must(command: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`)
}

/** Root may write where it may not, unless it gives that up. */
const ROOT = process.getuid?.() === 0
const AS_USER = ['setpriv', '--bounding-set=-dac_override,-dac_read_search', '--inh-caps=-all']
const UNPRIVILEGED: ServerProcessOptions = ROOT ? { wrapper: AS_USER } : {}
const [setpriv, ...dropped] = AS_USER

describe.runIf(process.platform !== 'win32' && (!ROOT || works(setpriv, ...dropped, 'true')))(
  'a read-only directory',
  () => {
    it('in which a new data directory should be made is refused by name', async () => {
      const parent = await temporaryDirectory()
      await chmod(parent, 0o555)
      const refusal = await refusalOf(onDirectory(join(parent, 'data')), UNPRIVILEGED)
      expect(refusal.code).toBe('STORE_FAILED')
      expect(refusal.message).toContain(join(parent, 'data'))
    })

    it('that was a data directory is refused by name, and serves again once it may be written to', async () => {
      const directory = join(await temporaryDirectory(), 'data')
      const first = await serve(onDirectory(directory))
      await first.bus.channel('orders').publish('kept')
      await first.server.kill()
      const entries = await readdir(directory, { recursive: true, withFileTypes: true })
      const paths = [directory, ...entries.map((entry) => join(entry.parentPath, entry.name))]
      const modes = new Map(
        entries.map((entry) => [join(entry.parentPath, entry.name), entry.isFile() ? 0o644 : 0o755]),
      )
      for (const path of paths.toReversed()) await chmod(path, modes.get(path) === 0o644 ? 0o444 : 0o555)
      const refusal = await refusalOf(onDirectory(directory), UNPRIVILEGED)
      for (const path of paths) await chmod(path, modes.get(path) ?? 0o755)
      expect(refusal.code).toBe('STORE_FAILED')
      expect(refusal.message).toContain(directory)

      const second = await serve(onDirectory(directory))
      expect((await take<string>(second.bus, 'orders', 1, { from: 'earliest' })).map(({ value }) => value)).toEqual([
        'kept',
      ])
      expect(await second.bus.channel('orders').publish('more')).toMatchObject({ position: 1n })
    })
  },
)

describe('a data directory that is none', () => {
  it('is refused by name', async () => {
    const file = join(await temporaryDirectory(), 'file')
    await writeFile(file, 'not a directory')
    const refusal = await refusalOf(onDirectory(join(file, 'data')))
    expect(refusal.code).toBe('STORE_FAILED')
    expect(refusal.message).toContain(file)
  })
})

const MIB = 2 ** 20
const MESSAGE = '.'.repeat(16 * 1024)

interface Disk {
  readonly name: string
  /** Whether this machine lets it be made. */
  readonly possible: boolean
  /** What a publish says then. A limit makes a write end early, which to LMDB is a disk that fails. */
  readonly code: 'STORE_FULL' | 'STORE_FAILED'
  /** A directory in which some megabytes fit, and how the server is run there. */
  make(): Promise<{ readonly directory: string; readonly process: ServerProcessOptions }>
  makeRoom(directory: string, server: DurableServer): void
}

const DISKS: readonly Disk[] = [
  {
    name: 'a file may become no larger',
    possible: works('prlimit', '--version'),
    code: 'STORE_FAILED',
    async make() {
      return {
        directory: await temporaryDirectory(),
        process: { wrapper: ['prlimit', `--fsize=${4 * MIB}:unlimited`] },
      }
    },
    makeRoom: (_directory, server) => must('prlimit', '--pid', String(server.pid), '--fsize=unlimited:unlimited'),
  },
  {
    name: 'the file system is full',
    possible: ROOT && works('unshare', '--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'),
    code: 'STORE_FULL',
    async make() {
      const directory = join(await temporaryDirectory(), 'disk')
      await mkdir(directory)
      must('mount', '-t', 'tmpfs', '-o', `size=${4 * MIB}`, 'tmpfs', directory)
      onTestFinished(() => must('umount', '--lazy', directory))
      return { directory, process: {} }
    },
    makeRoom: (directory) => must('mount', '-o', `remount,size=${64 * MIB}`, directory),
  },
]

describe.each(DISKS)('a server when $name', ({ possible, code, make, makeRoom }) => {
  it.runIf(possible)(
    'stays up, refuses what it cannot store, keeps what it acknowledged, and goes on when there is room',
    async () => {
      const { directory, process } = await make()
      const options = onDirectory(join(directory, 'data'))
      const { server, bus } = await serve(options, process)
      const orders = bus.channel<string>('orders')
      const publish = (number: number) => orders.publish(`${number}${MESSAGE}`, { idempotencyKey: `order-${number}` })
      let stored = 0
      let full: unknown = null
      for (; full === null && stored < 2_000; stored += full === null ? 1 : 0) {
        const receipt = await publish(stored).catch((error: unknown) => {
          full = error
        })
        if (receipt !== undefined) expect(receipt.position).toBe(BigInt(stored))
      }
      expect(full).toBeInstanceOf(LiminalError)
      expect(full).toMatchObject({ code, retryable: true })
      expect(stored).toBeGreaterThan(10)

      // Everybody at once finds the same; nothing of it is kept.
      const refused = await Promise.allSettled(Array.from({ length: 8 }, (_, index) => publish(stored + index)))
      for (const result of refused) expect(result).toMatchObject({ status: 'rejected', reason: { code } })
      expect(await bus.ask('anything', 'still there')).toBe('still there')
      expect(await bus.channel('gossip').publish('heard')).toMatchObject({ position: null })
      expect(await bus.administration.channel('orders')).toMatchObject({ next: BigInt(stored) })
      const replayed = await take<string>(bus, 'orders', stored, { from: 'earliest' })
      expect(replayed.map(({ value }) => Number.parseInt(value, 10))).toEqual(
        Array.from({ length: stored }, (_, at) => at),
      )

      makeRoom(directory, server)
      // Not suppressed: the keys of what was refused are free again.
      expect(await publish(stored)).toMatchObject({ position: BigInt(stored), duplicate: false })
      expect(await publish(0)).toMatchObject({ position: 0n, duplicate: true })
      await server.kill()

      const next = await serve(options)
      const log = await peekAll(next.bus, 'orders')
      expect(log.map(({ idempotencyKey }) => idempotencyKey)).toEqual(
        Array.from({ length: stored + 1 }, (_, number) => `order-${number}`),
      )
    },
    60_000,
  )
})
