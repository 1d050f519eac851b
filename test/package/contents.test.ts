import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root, unpack } from './packages.ts'
import { Packed } from './packed.ts'
import type { Project } from './project.ts'
import { readManifest } from './registry.ts'

const run = promisify(execFile)
const { version } = readManifest(root)

let packed: Packed
let project: Project

beforeAll(async () => {
  packed = await Packed.make()
  project = await packed.install('both', packed.main, packed.platform)
})

afterAll(() => packed[Symbol.asyncDispose]())

describe('the packed main package', () => {
  let files: Map<string, Buffer>
  let manifest: Record<string, unknown>
  beforeAll(async () => {
    files = await unpack(packed.main, join(packed.folder, 'main'))
    manifest = JSON.parse(String(files.get('package.json'))) as Record<string, unknown>
  })

  it('has no script that an installation could run', () => {
    expect(Object.keys(manifest)).not.toContain('scripts')
    expect(Object.keys(manifest)).not.toContain('devDependencies')
    expect([...files.keys()].filter((path) => path === 'binding.gyp')).toEqual([])
  })

  it('names the addon of each platform in its own version, and only as optional', () => {
    const optional = manifest.optionalDependencies as Record<string, string>
    expect(Object.keys(optional)).toHaveLength(8)
    expect(optional[packed.platformName]).toBe(version)
    expect(new Set(Object.values(optional))).toEqual(new Set([version]))
    expect(Object.keys(manifest.dependencies as object)).toEqual(Object.keys(readManifest(root).dependencies ?? {}))
  })

  it('holds the built library, its types, the licence and the protocol, and no sources, tests or addons', () => {
    const paths = [...files.keys()]
    for (const path of [
      'dist/index.js',
      'dist/index.d.ts',
      'dist/cli/main.js',
      'LICENSE',
      'README.md',
      'docs/protocol.md',
    ]) {
      expect(paths).toContain(path)
    }
    const unwanted = paths.filter((path) =>
      /(?<!\.d)\.[cm]?ts$|\.node$|\.rs$|(^|\/)(test|native|scripts|bench)\/|tsbuildinfo/.test(path),
    )
    expect(unwanted.filter((path) => !path.startsWith('dist/cli/bench/'))).toEqual([])
  })

  it('says nothing of the machine it was made on', () => {
    for (const [path, bytes] of files) {
      for (const place of [root, homedir(), packed.folder])
        expect(bytes.includes(place), `${place} in ${path}`).toBe(false)
    }
  })

  it('leaves package.json of the checkout as it was', () => {
    expect(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))).toHaveProperty('devDependencies')
  })
})

describe('the packed platform package', () => {
  it('holds the addon, the licence and nothing else, and nothing of the machine it was made on', async () => {
    const files = await unpack(packed.platform, join(packed.folder, 'platform'))
    const addon = `${packed.platformName.replace('liminal-bus-', 'liminal-bus.')}.node`
    expect([...files.keys()].sort()).toEqual(['LICENSE', 'README.md', addon, 'package.json'].sort())
    for (const place of [root, homedir()]) expect(files.get(addon)?.includes(place), place).toBe(false)
  })
})

describe('the installed package', () => {
  it('can be imported and required, and is the same module both times', async () => {
    writeFileSync(
      join(project.folder, 'both-ways.cjs'),
      `const required = require('liminal-bus')
       const codec = require('liminal-bus/codec')
       const processes = require('liminal-bus/process')
       import('liminal-bus').then(async (imported) => {
         const importedCodec = await import('liminal-bus/codec')
         console.log(required.createBus === imported.createBus, codec.encode === importedCodec.encode, typeof codec.encode)
         console.log(processes.ProcessSystem === (await import('liminal-bus/process')).ProcessSystem)
       })`,
    )
    expect(await project.node('both-ways.cjs')).toMatchObject({ stdout: 'true true function\ntrue\n' })
  })

  it('runs the example of the README, which prints what the README says', async () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8')
    const [, example, printed] = /```js\n(.+?)```.+?```text\n(.+?)```/s.exec(readme) ?? []
    writeFileSync(join(project.folder, 'example.mjs'), String(example))
    const { stdout, stderr } = await project.node('example.mjs')
    expect(stderr).toBe('')
    expect(anyId(stdout)).toBe(anyId(String(printed)))
    expect(String(example).trim().split('\n').filter(Boolean).length).toBeLessThanOrEqual(15)
  })

  it('has types that a strict consumer can use', async () => {
    writeFileSync(
      join(project.folder, 'consumer.ts'),
      `import { type Bus, connect, createBus, createServer, echo, LiminalError, ProtocolError, serve } from 'liminal-bus'
       import { codecInfo, decode, encode, type Frame } from 'liminal-bus/codec'

       export async function use(url: string): Promise<bigint> {
         await using bus: Bus = await createBus()
         const server = await serve(bus, { port: 0, host: '127.0.0.1' })
         const port: number = server.address.port
         const client: Bus = await connect(url)
         bus.respond('echo', echo)
         const channel = client.channel<{ id: number }>('orders')
         // @ts-expect-error the channel's values have an id
         await channel.publish({ name: port })
         const receipt = await channel.publish({ id: port })
         await server.close()
         return receipt.messageId
       }
       const frame: Frame = { type: 'Ping', flags: 0, streamId: 0 }
       const again: Frame = decode(encode(frame)).frame
       export const all = [createServer, codecInfo(), again, LiminalError, ProtocolError]
      `,
    )
    const options = {
      compilerOptions: {
        module: 'nodenext',
        moduleResolution: 'nodenext',
        target: 'es2023',
        lib: ['es2023', 'esnext.disposable'],
        strict: true,
        noEmit: true,
        types: ['node'],
        typeRoots: [join(root, 'node_modules', '@types')],
      },
      files: ['consumer.ts'],
    }
    writeFileSync(join(project.folder, 'tsconfig.json'), JSON.stringify(options))
    const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const complaints = await run(process.execPath, [compiler, '-p', project.folder]).then(
      ({ stdout }) => stdout,
      (error: Error & { stdout: string }) => error.stdout || error.message,
    )
    expect(complaints).toBe('')
  })

  it('has a command that serves, subscribes and publishes', async () => {
    const command = join(project.installed('.bin'), 'liminal')
    expect((await project.node(command, '--version')).stdout.trim()).toBe(version)
    await using server = project.start([command, 'serve', '--port', '0', '--channel', 'orders', '--json'])
    const { listening } = (await server.next()) as { listening: { url: string } }
    const at = ['--url', listening.url]
    await using subscriber = project.start([command, 'sub', 'orders', '--ndjson', '--count', '1', ...at])
    await subscriber.complains(/subscribed/)
    const published = await project.node(command, 'pub', 'orders', '{"id":1}', '--json', ...at)
    expect(JSON.parse(published.stdout)).toMatchObject({ delivered: true })
    expect(await subscriber.next()).toEqual({ id: 1 })
    expect(await subscriber.end()).toMatchObject({ code: 0 })
  })
})

/** Message ids differ from run to run. */
function anyId(text: string): string {
  return text.replace(/messageId: \d+n/, 'messageId: n')
}
