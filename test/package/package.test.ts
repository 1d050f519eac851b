import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root, unpackManifest } from './packages.ts'
import { Packed } from './packed.ts'
import type { Project } from './project.ts'
import { readManifest } from './registry.ts'

const MESSAGES = 500
const allMessages = Array.from({ length: MESSAGES }, (_, id) => ({ id, text: 'Zoë ☂' }))
const COMPILERS = ['cc', 'gcc', 'clang', 'cargo', 'rustc']

let packed: Packed

beforeAll(async () => {
  packed = await Packed.make()
})

afterAll(() => packed[Symbol.asyncDispose]())

/** Runs a server, a subscriber and a publisher as processes of their own, and returns what they said. */
async function exchange(project: Project) {
  await using server = project.start(['server.mjs'])
  const served = (await server.next()) as { url: string; codec: unknown }
  await using subscriber = project.start(['subscriber.mjs', served.url, String(MESSAGES)])
  const subscribed = (await subscriber.next()) as { codec: unknown }
  await using publisher = project.start(['publisher.mjs', served.url, String(MESSAGES)])
  const published = (await publisher.next()) as { codec: unknown; delivered: number; reply: unknown }
  const { received } = (await subscriber.next()) as { received: unknown[] }
  const ends = [await publisher.end(), await subscriber.end(), await server.end()]
  return { codecs: [served.codec, subscribed.codec, published.codec], published, received, ends }
}

describe('the main and the platform package, installed from tarballs into an empty project', () => {
  let project: Project
  beforeAll(async () => {
    project = await packed.install('both', packed.main, packed.platform)
  })

  it('has no compiler to fall back on', async () => {
    expect(await project.has(process.execPath)).toBe(true)
    for (const compiler of COMPILERS) expect(await project.has(compiler), compiler).toBe(false)
  })

  it('installs without the platform packages that no registry has', () => {
    expect(packed.registry.missed.size).toBeGreaterThan(0)
    for (const name of packed.registry.missed) expect(name).toMatch(/^(liminal-bus-|@lmdb\/|@msgpackr-extract\/)/)
  })

  it('keeps a durable channel, with the store that is prebuilt for the platform', async () => {
    const program = `
      import { createBus } from 'liminal-bus'
      for (let life = 0; life < 2; life++) {
        const bus = await createBus({ dataDir: './data', channels: [{ name: 'orders', durable: true }] })
        console.log(String((await bus.channel('orders').publish({ life })).position))
        await bus.close()
      }`
    const { stdout } = await project.node('--input-type=module', '--eval', program)
    expect(stdout.split('\n').slice(0, 2)).toEqual(['0', '1'])
  })

  it('carries messages and requests between processes on the native codec, silently', async () => {
    const { codecs, published, received, ends } = await exchange(project)
    expect(received).toEqual(allMessages)
    expect(published).toMatchObject({ delivered: MESSAGES, reply: { hello: 'Ada' } })
    for (const codec of codecs) {
      expect(codec).toMatchObject({ codec: 'native' })
      expect(JSON.stringify(codec)).toContain(packed.platformName)
    }
    for (const end of ends) expect(end).toEqual({ code: 0, stderr: '' })
  })
})

describe('the main package alone', () => {
  let project: Project
  beforeAll(async () => {
    project = await packed.install('alone', packed.main)
  })

  it('carries the same messages on the TypeScript codec, with one warning per process', async () => {
    const { codecs, published, received, ends } = await exchange(project)
    expect(received).toEqual(allMessages)
    expect(published).toMatchObject({ delivered: MESSAGES, reply: { hello: 'Ada' } })
    for (const codec of codecs) expect(codec).toMatchObject({ codec: 'typescript' })
    for (const { code, stderr } of ends) {
      expect(code).toBe(0)
      expect(stderr.match(/Warning: /g), stderr).toHaveLength(1)
      expect(stderr).toMatch(/TypeScript codec/)
    }
  })

  it('refuses to start where the native codec is demanded, and says what was tried', async () => {
    await using server = project.start(['server.mjs'], { LIMINAL_CODEC: 'native' })
    await expect(server.next()).rejects.toThrow(packed.platformName)
    expect(await server.end()).toMatchObject({ code: 1 })
  })

  it('is silent where the TypeScript codec is what was asked for', async () => {
    await using server = project.start(['server.mjs'], { LIMINAL_CODEC: 'typescript' })
    expect(await server.next()).toMatchObject({ codec: { codec: 'typescript' } })
    expect(await server.end()).toEqual({ code: 0, stderr: '' })
  })
})

describe('an installation by name', () => {
  it('brings the package of this platform along', async () => {
    for (const tarball of [packed.main, packed.platform]) {
      packed.registry.add({ manifest: await unpackManifest(tarball), tarball })
    }
    const project = await packed.install('by-name', 'liminal-bus')
    expect(readManifest(project.installed(packed.platformName)).version).toBe(readManifest(root).version)
    const { codecs } = await exchange(project)
    for (const codec of codecs) expect(codec).toMatchObject({ codec: 'native' })
  })
})
