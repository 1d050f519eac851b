import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { EmbeddedStore } from '../../ts/durability/index.ts'
import { allTexts, append, stream } from './event-store-tools.ts'
import { StoreChild } from './store-child.ts'

const ROUNDS = Number(process.env.LIMINAL_STORE_ROUNDS ?? 20)
const root = mkdtempSync(join(tmpdir(), 'liminal-process-'))
const children: StoreChild[] = []

afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.kill()))
})

afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})

async function startChild(): Promise<StoreChild> {
  const child = new StoreChild()
  children.push(child)
  await child.next('ready')
  return child
}

describe('a store whose process is killed', () => {
  it.each(['each', 'interval', 'os'] as const)(
    'has all that was acknowledged, gap-free, synced: %s',
    { timeout: 180_000 },
    async (sync) => {
      const path = join(root, `killed-${sync}`)
      const streams = ['a', 'b', 'c']
      const acknowledged = new Map<string, bigint>()
      // All rounds for the strict policy; the others differ only in what a machine's end costs.
      const rounds = sync === 'each' ? ROUNDS : Math.ceil(ROUNDS / 4)
      for (let round = 0; round < rounds; round++) {
        const child = await startChild()
        child.tell({ is: 'open', options: { path, sync, syncIntervalMs: 20 } })
        expect(await child.next('opened', 'failed')).toEqual({ is: 'opened' })
        const enough = 5 + ((round * 37) % 60)
        await new Promise<void>((resolve) => {
          let heard = 0
          child.onMessage = (message) => {
            if (message.is !== 'acknowledged') return
            acknowledged.set(message.stream, BigInt(message.next))
            heard++
            if (heard === enough) resolve()
          }
          child.tell({ is: 'append', streams })
        })
        await child.kill()
        await using store = await EmbeddedStore.open({ path, sync })
        for (const name of streams) {
          const { first, next } = await store.state(stream(name))
          expect(first).toBe(0n)
          expect(next).toBeGreaterThanOrEqual(acknowledged.get(name) ?? 0n)
          const texts = await allTexts(store, stream(name))
          expect(texts).toHaveLength(Number(next))
          for (const [at, text] of texts.entries()) expect(text.slice(0, text.indexOf(':'))).toBe(String(at))
        }
      }
    },
  )
})

describe('a store that is open already', () => {
  it('is not opened by another process, which is told by which', async () => {
    const path = join(root, 'shared')
    await using store = await EmbeddedStore.open({ path })
    const child = await startChild()
    child.tell({ is: 'open', options: { path } })
    expect(await child.next('opened', 'failed')).toMatchObject({
      code: 'STORE_LOCKED',
      message: expect.stringContaining(`process ${process.pid}`),
    })
    await store.write([append(stream('orders'), 0n, 'still mine')])
    await store.close()
    child.tell({ is: 'open', options: { path } })
    expect(await child.next('opened', 'failed')).toEqual({ is: 'opened' })
    await expect(EmbeddedStore.open({ path })).rejects.toMatchObject({
      code: 'STORE_LOCKED',
      retryable: true,
      message: expect.stringContaining(`process ${child.pid}`),
    })
  })

  it('is free again once its process was killed', async () => {
    const path = join(root, 'stale')
    const child = await startChild()
    child.tell({ is: 'open', options: { path } })
    expect(await child.next('opened', 'failed')).toEqual({ is: 'opened' })
    await child.kill()
    expect(readFileSync(join(path, 'holder'), 'utf8').trim()).toBe(String(child.pid))
    await using store = await EmbeddedStore.open({ path })
    await store.write([append(stream('orders'), 0n, 'mine now')])
  })

  it('is not opened once more in the same process, however its path is written', async () => {
    const path = join(root, 'twice')
    await using store = await EmbeddedStore.open({ path })
    for (const other of [path, join(path, '..', 'twice', '.')]) {
      await expect(EmbeddedStore.open({ path: other })).rejects.toMatchObject({
        code: 'STORE_LOCKED',
        message: expect.stringContaining('this process'),
      })
    }
    await store.write([append(stream('orders'), 0n, 'unharmed')])
  })

  it('is opened by exactly one of many who try at once', async () => {
    const path = join(root, 'raced')
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => EmbeddedStore.open({ path })))
    const opened = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    for (const store of opened) await store.close()
    expect(opened).toHaveLength(1)
  })
})

/** Only Linux tells what a process has open. */
const tellsWhatIsOpen = process.platform === 'linux'

describe('a store that was closed', () => {
  const descriptors = (): string[] =>
    readdirSync('/proc/self/fd').flatMap((name) => {
      try {
        return [readlinkSync(`/proc/self/fd/${name}`)]
      } catch {
        // The descriptor of the listing itself.
        return []
      }
    })

  it('has everything when it is opened again', async () => {
    const path = join(root, 'again')
    for (let round = 0n; round < 10n; round++) {
      await using store = await EmbeddedStore.open({ path, create: round === 0n })
      await store.write([append(stream('orders'), round, `round ${round}`)])
      await store.write([{ type: 'set', key: stream('orders'), value: Uint8Array.of(Number(round)) }])
      expect(store.stats().streams).toBe(1)
    }
    await using store = await EmbeddedStore.open({ path })
    expect(await allTexts(store, stream('orders'))).toEqual(Array.from({ length: 10 }, (_, at) => `round ${at}`))
    expect(await store.get(stream('orders'))).toEqual(Uint8Array.of(9))
  })

  it('lets its process end by itself, but not before it is closed', async () => {
    const child = await startChild()
    child.tell({ is: 'leave', options: { path: join(root, 'left') }, close: true })
    expect(await child.next('failed')).toEqual({ code: 7, signal: null })
    await using store = await EmbeddedStore.open({ path: join(root, 'left') })
    expect(await allTexts(store, stream('orders'))).toEqual(['x'])
  })

  it('does not keep its process if it is never closed, and loses nothing', async () => {
    const child = await startChild()
    child.tell({ is: 'leave', options: { path: join(root, 'abandoned') }, close: false })
    expect(await child.next('failed')).toEqual({ code: 0, signal: null })
    await using store = await EmbeddedStore.open({ path: join(root, 'abandoned') })
    expect(await allTexts(store, stream('orders'))).toEqual(['x'])
  })

  it.runIf(tellsWhatIsOpen)('leaves no thread, no descriptor and no memory map behind', async () => {
    const path = join(root, 'leaks')
    await (await EmbeddedStore.open({ path })).close()
    const before = descriptors().length
    for (let round = 0; round < 20; round++) {
      const store = await EmbeddedStore.open({ path })
      await store.write([append(stream('orders'), BigInt(round), 'x')])
      await store.close()
    }
    expect(descriptors().filter((name) => name.startsWith(path))).toEqual([])
    expect(descriptors().length).toBeLessThanOrEqual(before + 2)
    const maps = readFileSync('/proc/self/maps', 'utf8')
    expect(maps.split('\n').filter((line) => line.includes(path))).toEqual([])
    const threads = readdirSync('/proc/self/task').map((id) =>
      readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim(),
    )
    expect(threads.filter((name) => name.includes('liminal-store'))).toEqual([])
  })
})
