import { execFile } from 'node:child_process'
import { cp, mkdtemp, open, readdir, readFile, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { connect } from '../../ts/client/index.ts'
import { temporaryDirectory } from './durable-fixture.ts'
import { DurableServer } from './durable-server.ts'
import { generator } from './random.ts'

const run = promisify(execFile)
const READER = fileURLToPath(new URL('./durable-reader.mjs', import.meta.url))

const COUNT = 120
/** Long enough that some records have pages of their own. */
const orderText = (number: number): string => `order-${number}-${'x'.repeat(number % 10 === 0 ? 9_000 : 50)}`
const VALUES = Array.from({ length: COUNT }, (_, number) => orderText(number))

/** What became of reading a directory. */
type Outcome =
  | { readonly values: readonly string[]; readonly first: number; readonly next: number }
  | { readonly failed: { readonly code: string | undefined; readonly message: string } }

async function read(directory: string): Promise<Outcome> {
  const [outcome] = await readAll([directory])
  return outcome
}

/** In one process. */
async function readAll(directories: readonly string[]): Promise<Outcome[]> {
  const { stdout } = await run(process.execPath, [READER, ...directories], { maxBuffer: 64 * 1024 * 1024 })
  const outcomes: Outcome[] = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(outcomes).toHaveLength(directories.length)
  return outcomes
}

/** A copy of the directory with its largest file, which holds the messages. */
async function copyOf(
  directory: string,
): Promise<{ readonly directory: string; readonly file: string; readonly size: number }> {
  const copy = join(await temporaryDirectory(), 'data')
  await cp(directory, copy, { recursive: true })
  const entries = await readdir(copy, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const sized = await Promise.all(files.map(async (file) => ({ file, size: (await stat(file)).size })))
  const [largest] = sized.toSorted((one, other) => other.size - one.size)
  return { directory: copy, ...largest }
}

async function flip(file: string, at: number, bits: number): Promise<void> {
  const handle = await open(file, 'r+')
  const byte = Buffer.alloc(1)
  await handle.read(byte, 0, 1, at)
  byte[0] ^= bits
  await handle.write(byte, 0, 1, at)
  await handle.close()
}

/** Everything is there, or an error that says what is not: never less without a word. */
function expectNothingSilent(outcome: Outcome, what: string): void {
  if ('failed' in outcome)
    expect(outcome.failed.code, `${what}: ${outcome.failed.message}`).toMatch(/^STORE_(CORRUPT|FAILED)$/)
  else expect(outcome, what).toEqual({ values: VALUES, first: 0, next: COUNT })
}

describe('files that were damaged', () => {
  let original: string

  beforeAll(async () => {
    const top = await mkdtemp(join(tmpdir(), 'liminal-damage-'))
    original = join(top, 'data')
    const server = await DurableServer.start({ dataDir: original, channels: [{ name: 'orders', durable: true }] })
    const bus = await connect(await server.url(), { reconnect: false })
    for (const value of VALUES) await bus.channel('orders').publish(value, { idempotencyKey: value.slice(0, 9) })
    await bus.close()
    await server.kill()
    return () => rm(top, { recursive: true, force: true })
  })

  it('are read whole while they are not', async () => {
    expect(await read((await copyOf(original)).directory)).toEqual({ values: VALUES, first: 0, next: COUNT })
  })

  it.each([5, 10, 60, COUNT - 1])(
    'by a flipped bit in message %i are named, and the message is not left out',
    async (number) => {
      const { directory, file } = await copyOf(original)
      const bytes = await readFile(file)
      const text = Buffer.from(`order-${number}-xxx`)
      const places: number[] = []
      for (let at = bytes.indexOf(text); at !== -1; at = bytes.indexOf(text, at + 1)) places.push(at)
      expect(places.length).toBeGreaterThan(0)
      // Old copies of a page may lie about: all are damaged, the one that counts among them.
      for (const at of places) await flip(file, at + text.length, 0x01)
      const outcome = await read(directory)
      expect(outcome).toMatchObject({ failed: { code: 'STORE_CORRUPT' } })
      if ('failed' in outcome) expect(outcome.failed.message).toMatch(/orders/)
    },
  )

  it.each([
    ['to nothing', () => 0],
    ['to its first page', () => 4_096],
    ['to its half', (size: number) => Math.floor(size / 2)],
    ['by its last page', (size: number) => size - 4_096],
    ['by its last byte', (size: number) => size - 1],
  ])('by being cut %s lose nothing without a word', async (what, sizeOf) => {
    const { directory, file, size } = await copyOf(original)
    await truncate(file, sizeOf(size))
    expectNothingSilent(await read(directory), `cut ${what}`)
  })

  it('anywhere lose nothing without a word', async () => {
    const random = generator(7)
    const damaged: { readonly directory: string; readonly how: string }[] = []
    for (let attempt = 0; attempt < 16; attempt++) {
      const { directory, file, size } = await copyOf(original)
      const at = random(size)
      const bits = 1 << random(8)
      await flip(file, at, bits)
      damaged.push({ directory, how: `bits ${bits} of byte ${at} flipped` })
    }
    const outcomes = await readAll(damaged.map(({ directory }) => directory))
    outcomes.forEach((outcome, index) => {
      expectNothingSilent(outcome, damaged[index].how)
    })
  }, 120_000)
})
