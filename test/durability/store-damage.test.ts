import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EmbeddedStore, type StoreWrite } from '../../ts/durability/index.ts'
import { allTexts, append, eventsOfSize, meta, stream, textsOf } from './event-store-tools.ts'
import { StoreChild } from './store-child.ts'

const FLIPS = Number(process.env.LIMINAL_FLIPS ?? 64)
const root = mkdtempSync(join(tmpdir(), 'liminal-damage-'))
const whole = join(root, 'whole')

/** Pages of every kind: branches, leaves, values with pages of their own, lists of free pages. */
async function fill(path: string): Promise<void> {
  await using store = await EmbeddedStore.open({ path, sync: 'os' })
  for (let at = 0; at < 40; at++) {
    const writes: StoreWrite[] = []
    for (let name = 0; name < 12; name++) {
      const events = eventsOfSize(4, (at * 131 + name * 977) % 2_500, at + name)
      writes.push({ type: 'append', stream: stream(`stream ${name}`), expected: BigInt(at * 4), events })
    }
    await store.write(writes)
    await store.write([{ type: 'set', key: meta('value', String(at)), value: new Uint8Array(at * 100).fill(at) }])
  }
  await store.write([{ type: 'truncate', stream: stream('stream 3'), before: 90n }])
  await store.write([{ type: 'remove', stream: stream('stream 4') }])
  await store.write([{ type: 'compareAndSet', key: meta('number'), expected: null, value: 7n }])
  await store.write([append(stream('last'), 0n, 'the last one')])
}

beforeAll(async () => {
  await fill(whole)
})

afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})

/** A copy of the whole store with another data file. */
function damagedCopy(name: string, change: (data: Buffer) => Buffer): string {
  const path = join(root, name)
  rmSync(path, { recursive: true, force: true })
  cpSync(whole, path, { recursive: true })
  writeFileSync(join(path, 'data.mdb'), change(readFileSync(join(whole, 'data.mdb'))))
  return path
}

describe('a store file whose bits were flipped', () => {
  let child: StoreChild

  beforeAll(async () => {
    child = new StoreChild()
    await child.next('ready')
  })

  afterAll(async () => {
    await child.kill()
  })

  async function examine(path: string): Promise<string> {
    child.tell({ is: 'examine', options: { path, sync: 'os' } })
    const outcome = await child.next('examined', 'failed')
    if (!('is' in outcome)) {
      child = new StoreChild()
      await child.next('ready')
      return `ended with ${outcome.signal ?? outcome.code}`
    }
    if (outcome.is === 'examined') return `${outcome.before} ${outcome.after}`
    return outcome.is === 'failed' ? (outcome.code === 'STORE_CORRUPT' ? outcome.code : outcome.message) : outcome.is
  }

  it('says that it is damaged, or has all data as they were', { timeout: 600_000 }, async () => {
    const healthy = await examine(damagedCopy('flipped', (data) => data))
    expect(healthy).toMatch(/^(\w{64}) \w{64}$/)
    let state = Number(process.env.LIMINAL_SEED ?? 20_261_121)
    const random = (below: number): number => {
      // An ordinary linear congruential generator: the same flips in each run.
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
    const outcomes = new Map<string, number>()
    const unexpected: string[] = []
    for (let flip = 0; flip < FLIPS; flip++) {
      let [at, bit] = [0, 0]
      const path = damagedCopy('flipped', (data) => {
        // A quarter of them in the first two pages, and in the headers of others: where little is, and all depends on it.
        const pages = data.length / 4096
        at =
          flip % 4 === 0
            ? random(2) * 4096 + random(168)
            : flip % 4 === 1
              ? random(pages) * 4096 + random(64)
              : random(data.length)
        bit = random(8)
        data[at] ^= 1 << bit
        return data
      })
      const found = await examine(path)
      const outcome = found === healthy ? 'unnoticed, all data as they were' : found
      if (found !== healthy && found !== 'STORE_CORRUPT')
        unexpected.push(`byte ${at} (page ${at >> 12}, ${at & 4095}), bit ${bit}: ${found}`)
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    }
    if (process.env.LIMINAL_FLIPS !== undefined) console.log(outcomes, unexpected)
    expect(unexpected).toEqual([])
    expect(outcomes.get('STORE_CORRUPT')).toBeGreaterThan(FLIPS / 4)
  })
})

describe('a store whose files are not whole', () => {
  const open = (path: string, create?: boolean) => EmbeddedStore.open({ path, create })

  it.each([0.999, 0.9, 0.5, 0.1])('is refused if %d of its file are left', async (part) => {
    const path = damagedCopy('cut', (data) => data.subarray(0, Math.floor(data.length * part)))
    await expect(open(path)).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: expect.stringMatching(/data\.mdb is damaged: .*cut off.*Restore/),
    })
  })

  it.each([1, 24, 100, 4_096, 4_200, 8_191])('is refused if %d bytes of its file are left', async (length) => {
    const path = damagedCopy('cut', (data) => data.subarray(0, length))
    await expect(open(path)).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
  })

  it('is refused if its file is empty, or gone', async () => {
    const empty = damagedCopy('empty', () => Buffer.alloc(0))
    await expect(open(empty)).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: expect.stringContaining('is empty'),
    })
    expect(readFileSync(join(empty, 'data.mdb'))).toHaveLength(0)
    rmSync(join(empty, 'data.mdb'))
    await expect(open(empty)).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: expect.stringContaining('missing'),
    })
  })

  it('is refused if its file is something else', async () => {
    const path = damagedCopy('other', (data) => data.fill('what is this? '))
    await expect(open(path)).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
  })

  it('is refused if its file is that of another store', async () => {
    const path = damagedCopy('mine', (data) => data)
    await fill(join(root, 'another'))
    cpSync(join(root, 'another', 'data.mdb'), join(path, 'data.mdb'))
    await expect(open(path)).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: expect.stringContaining('another store'),
    })
  })

  it.each(['', '{', '[]', '{"format":1}', '{"format":1,"id":"zz"}'])(
    'is refused if its identity is %j',
    async (text) => {
      const path = damagedCopy('identity', (data) => data)
      writeFileSync(join(path, 'store.json'), text)
      await expect(open(path)).rejects.toMatchObject({
        code: 'STORE_CORRUPT',
        message: expect.stringContaining('store.json'),
      })
    },
  )

  it('is refused if it is of a newer format, and stays as it is', async () => {
    const path = damagedCopy('newer', (data) => data)
    const identity = JSON.parse(readFileSync(join(path, 'store.json'), 'utf8'))
    writeFileSync(join(path, 'store.json'), JSON.stringify({ ...identity, format: 2 }))
    await expect(open(path)).rejects.toMatchObject({
      code: 'STORE_FAILED',
      retryable: false,
      message: expect.stringMatching(/format 2.*up to 1.*newer one/),
    })
    writeFileSync(join(path, 'store.json'), JSON.stringify(identity))
    await (await open(path)).close()
  })

  it('gets its identity back from its file', async () => {
    const path = damagedCopy('adopted', (data) => data)
    const identity = readFileSync(join(path, 'store.json'), 'utf8')
    rmSync(join(path, 'store.json'))
    await using store = await open(path)
    expect(await allTexts(store, stream('last'))).toEqual(['the last one'])
    expect(readFileSync(join(path, 'store.json'), 'utf8')).toBe(identity)
  })

  it('is made anew if the process ended while it was made', async () => {
    const path = damagedCopy('unmade', () => Buffer.alloc(0))
    rmSync(join(path, 'store.json'))
    await expect(open(path, false)).rejects.toMatchObject({ code: 'STORE_FAILED' })
    await using store = await open(path)
    expect((await store.keys('channel', [])).keys).toEqual([])
  })

  it('names the stream and the sequence of a record that is damaged, and reads what is before it and behind it', async () => {
    const path = join(root, 'record')
    const events = eventsOfSize(1, 30_000, 0xa7)
    {
      await using store = await open(path)
      await store.write([append(stream('other'), 0n, 'fine')])
      for (let at = 0n; at < 3n; at++)
        await store.write([{ type: 'append', stream: stream('orders'), expected: at, events }])
    }
    const file = join(path, 'data.mdb')
    const data = readFileSync(file)
    // The second of three pieces of 30,000 bytes that are all alike.
    const pieces = [...data.toString('latin1').matchAll(/\xa7{20000,}/g)].map(({ index }) => index)
    data[pieces[1] + 15_000] ^= 1
    writeFileSync(file, data)
    await using store = await open(path)
    expect(await allTexts(store, stream('other'))).toEqual(['fine'])
    expect(textsOf(await store.read(stream('orders'), 0n, { maxEvents: 1 }))).toHaveLength(1)
    const before = await store.read(stream('orders'), 0n)
    expect([textsOf(before).length, before.next]).toEqual([1, 1n])
    await expect(store.read(stream('orders'), before.next)).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: expect.stringMatching(/data\.mdb is damaged in channel 'orders': the record with sequence 1 /),
    })
    expect(textsOf(await store.read(stream('orders'), 2n))).toHaveLength(1)
    await store.write([{ type: 'remove', stream: stream('orders') }, append(stream('orders'), 0n, 'anew')])
    expect(await allTexts(store, stream('orders'))).toEqual(['anew'])
  })
})
