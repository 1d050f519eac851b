import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { DataDirectory, EmbeddedStore, type SyncPolicy } from '../../ts/durability/index.ts'
import { allTexts, append, eventsOfSize, stream } from './event-store-tools.ts'

const META_BYTES = 2 * 4096
const root = mkdtempSync(join(tmpdir(), 'liminal-directory-'))
const orders = stream('orders')

afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})

/** A directory with something in the stores of all policies. */
async function filled(name: string): Promise<string> {
  const path = join(root, name)
  const directory = await DataDirectory.open({ path })
  for (const policy of ['each', 'interval', 'os'] as const) {
    const store = await directory.store(policy)
    await store.write([append(orders, 0n, policy)])
  }
  await directory.close()
  return path
}

function empty(path: string): void {
  for (const file of ['data.mdb', 'store.json']) rmSync(join(path, file))
}

function readList(path: string): unknown {
  return JSON.parse(readFileSync(join(path, 'stores.json'), 'utf8'))
}

/** Does what a message says that has to be done to begin a store anew. */
function follow(error: unknown): void {
  const [, text, file] = /write (\{.*\}) to '(.*?)' and open/.exec(error instanceof Error ? error.message : '') ?? []
  writeFileSync(file ?? '', text ?? '')
}

/** What a power cut may leave: the system has written all pages of data, and those that say which are current as of the last sync. */
async function cutPower(path: string, sync: SyncPolicy): Promise<void> {
  const file = join(path, 'data.mdb')
  const store = await EmbeddedStore.open({ path, sync, syncIntervalMs: 1_000_000 })
  let next = (await store.state(orders)).next
  const write = async (): Promise<void> => {
    for (let count = 0; count < 300; count++) {
      await store.write([{ type: 'append', stream: orders, expected: next, events: eventsOfSize(1, 500) }])
      next++
    }
  }
  await write()
  await store.flush()
  const synced = readFileSync(file).subarray(0, META_BYTES)
  await write()
  await store.close()
  const descriptor = openSync(file, 'r+')
  writeSync(descriptor, synced, 0, META_BYTES, 0)
  closeSync(descriptor)
}

describe('a directory of stores', () => {
  it('has what was written, of each policy', async () => {
    const directory = await DataDirectory.open({ path: await filled('whole') })
    expect(directory.open).toHaveLength(3)
    for (const policy of ['each', 'interval', 'os'] as const) {
      expect(await allTexts(await directory.store(policy), orders)).toEqual([policy])
    }
    await directory.close()
  })

  it.each(['interval', 'os'] as const)(
    'opens without the store of %s if a power cut has damaged it, says so to whoever wants it, and has the others',
    async (damaged) => {
      const path = await filled(`cut-${damaged}`)
      await cutPower(join(path, damaged), damaged)
      const directory = await DataDirectory.open({ path })
      expect(directory.open).toHaveLength(2)
      for (let time = 0; time < 2; time++) {
        await expect(directory.store(damaged)).rejects.toMatchObject({
          code: 'STORE_CORRUPT',
          message: expect.stringMatching(new RegExp(`sync '${damaged}'.*data\\.mdb is damaged`)),
        })
      }
      for (const policy of ['each', 'interval', 'os'] as const) {
        if (policy === damaged) continue
        const store = await directory.store(policy)
        await store.write([append(orders, 1n, 'on')])
        expect(await allTexts(store, orders)).toEqual([policy, 'on'])
      }
      await directory.close()
      // It can be begun anew, as the message says.
      rmSync(join(path, damaged), { recursive: true })
      const lost = await DataDirectory.open({ path })
      const gone = await lost.store(damaged).catch((error: unknown) => error)
      expect(gone).toMatchObject({ code: 'STORE_CORRUPT', message: expect.stringContaining('not there any more') })
      await lost.close()
      follow(gone)
      const again = await DataDirectory.open({ path })
      expect(await (await again.store(damaged)).state(orders)).toMatchObject({ next: 0n })
      await again.close()
    },
  )

  it('is not opened if the strictest store is damaged', async () => {
    const path = await filled('strict')
    const file = join(path, 'each', 'data.mdb')
    writeFileSync(file, readFileSync(file).subarray(0, 5_000))
    await expect(DataDirectory.open({ path })).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
  })

  it('is not opened if a relaxed store is in use elsewhere: it is not damaged', async () => {
    const path = await filled('locked')
    await using _store = await EmbeddedStore.open({ path: join(path, 'os'), sync: 'os' })
    await expect(DataDirectory.open({ path })).rejects.toMatchObject({ code: 'STORE_LOCKED' })
    // Nothing of it was left open.
    await (await EmbeddedStore.open({ path: join(path, 'each') })).close()
  })

  it.each([
    ['removed', (path: string) => rmSync(path, { recursive: true })],
    ['emptied', empty],
  ])(
    'is not opened if the strictest store was %s, until somebody says that it is to begin anew',
    async (what, remove) => {
      const path = await filled(`lost-${what}`)
      remove(join(path, 'each'))
      const refusals: unknown[] = []
      for (let time = 0; time < 2; time++) {
        refusals.push(await DataDirectory.open({ path }).catch((error: unknown) => error))
      }
      for (const refusal of refusals) {
        expect(refusal).toMatchObject({
          code: 'STORE_CORRUPT',
          message: expect.stringContaining(`'${join(path, 'each')}' and is not there any more`),
        })
      }
      follow(refusals[0])
      const anew = await DataDirectory.open({ path })
      expect(await anew.primary.state(orders)).toMatchObject({ next: 0n })
      expect(await allTexts(await anew.store('os'), orders)).toEqual(['os'])
      await anew.close()
      expect(readList(path)).toEqual({ format: 1, stores: ['interval', 'os', 'each'] })
    },
  )

  it('gets its list if it is of a version that wrote none', async () => {
    const path = await filled('older')
    rmSync(join(path, 'stores.json'))
    const directory = await DataDirectory.open({ path })
    expect(await allTexts(directory.primary, orders)).toEqual(['each'])
    await directory.close()
    expect(readList(path)).toEqual({ format: 1, stores: ['each', 'interval', 'os'] })
    // That version made the strictest store before any other, so that it was there.
    rmSync(join(path, 'stores.json'))
    rmSync(join(path, 'each'), { recursive: true })
    const refusal = await DataDirectory.open({ path }).catch((error: unknown) => error)
    expect(refusal).toMatchObject({ code: 'STORE_CORRUPT' })
    follow(refusal)
    await (await DataDirectory.open({ path })).close()
  })

  it('is made by a process that goes on where another one ended before its first store was whole', async () => {
    const path = join(root, 'unmade')
    mkdirSync(join(path, 'each'), { recursive: true })
    writeFileSync(join(path, 'each', 'data.mdb'), '')
    const directory = await DataDirectory.open({ path })
    expect(await directory.primary.state(orders)).toMatchObject({ next: 0n })
    await directory.close()
  })

  it.each(['', '[]', '{"format":1}', '{"format":1,"stores":["each","sometimes"]}', '{"format":1,"stores":"each"}'])(
    'is not opened if its list is %j, and is without one',
    async (text) => {
      const path = await filled(`list-${text.length}`)
      writeFileSync(join(path, 'stores.json'), text)
      await expect(DataDirectory.open({ path })).rejects.toMatchObject({
        code: 'STORE_CORRUPT',
        message: expect.stringContaining('stores.json'),
      })
      rmSync(join(path, 'stores.json'))
      const directory = await DataDirectory.open({ path })
      expect(await allTexts(directory.primary, orders)).toEqual(['each'])
      await directory.close()
    },
  )

  it('is not opened if it is of a later version', async () => {
    const path = await filled('later')
    writeFileSync(join(path, 'stores.json'), '{"format":2,"stores":{}}')
    await expect(DataDirectory.open({ path })).rejects.toMatchObject({ code: 'STORE_FAILED', retryable: false })
  })
})
