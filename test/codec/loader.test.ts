import { execFile } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { loadAddon } from '../../ts/codec/addon.ts'
import type { CodecInfo } from '../../ts/codec/index.ts'
import { hostPlatform } from '../../ts/codec/platform.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const platform = hostPlatform()
const packageName = `liminal-bus-${platform}`
const addonFile = `liminal-bus.${platform}.node`
const { file: builtAddon } = loadAddon()
if (!existsSync(join(root, 'dist/codec/index.js')))
  throw new Error('dist/codec/index.js is missing: run `npm run build` first')

const PROBE = `
import { Worker } from 'node:worker_threads'
const warnings = []
process.on('warning', ({ name, message, ...rest }) => {
  if (name === 'LiminalWarning') warnings.push({ name, message, ...rest })
})
const causes = (error) => (error instanceof Error ? [error.message, ...causes(error.cause)] : [])
try {
  const { codecInfo, codec, nativeCodec } = await import('./dist/codec/index.js')
  await import('./dist/codec/index.js')
  const worker = new Worker(new URL('./worker.mjs', import.meta.url))
  const again = await new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject))
  const answer = { info: codecInfo(), name: codec.name, native: nativeCodec?.name ?? null, again, warnings }
  console.log(JSON.stringify(answer))
} catch (error) {
  const { code, message, cause } = error
  console.log(JSON.stringify({ error: { code, message, causes: causes(cause) } }))
}
`

const WORKER = `
import './dist/codec/index.js'
`

interface Answer {
  readonly info: CodecInfo
  readonly name: string
  readonly native: string | null
  readonly again: number
  readonly warnings: readonly { readonly code: string; readonly message: string }[]
  readonly error: { readonly code: string; readonly message: string; readonly causes: readonly string[] }
}

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** A copy of the built package as it lies on a machine, as far as it is needed here: no addon yet, dependencies by link. */
function install(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'liminal-loader-')))
  folders.push(folder)
  for (const part of ['package.json', 'dist/errors.js', 'dist/protocol', 'dist/codec']) {
    cpSync(join(root, part), join(folder, part), { recursive: true })
  }
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(join(root, 'node_modules/canonicalize'), join(folder, 'node_modules/canonicalize'), 'junction')
  writeFileSync(join(folder, 'probe.mjs'), PROBE)
  writeFileSync(join(folder, 'worker.mjs'), WORKER)
  return folder
}

/** Gives an installation a platform package. */
function addPackage(folder: string, version: string, main = addonFile): string {
  const home = join(folder, 'node_modules', packageName)
  mkdirSync(home)
  writeFileSync(join(home, 'package.json'), JSON.stringify({ name: packageName, version, main }))
  return home
}

function copyAddon(target: string): void {
  if (builtAddon === null) throw new Error('These tests need the native addon; run npm run build:native')
  cpSync(builtAddon, target)
}

function probe(folder: string, forced?: string): Promise<{ answer: Answer; stderr: string }> {
  const { LIMINAL_CODEC: _inherited, NODE_OPTIONS: _options, ...env } = process.env
  const options = { cwd: folder, env: forced === undefined ? env : { ...env, LIMINAL_CODEC: forced } }
  return new Promise((resolve, reject) => {
    execFile(process.execPath, ['probe.mjs'], options, (error, stdout, stderr) => {
      if (error !== null) reject(error)
      else resolve({ answer: JSON.parse(stdout), stderr })
    })
  })
}

function version(): string {
  const manifest: { version: string } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return manifest.version
}

describe('choosing the codec', () => {
  it('takes the addon of the checkout', async () => {
    const folder = install()
    mkdirSync(join(folder, 'native/node'), { recursive: true })
    const file = join(folder, 'native/node', addonFile)
    copyAddon(file)
    const { answer, stderr } = await probe(folder)
    expect(answer).toMatchObject({ name: 'native', native: 'native', again: 0, warnings: [] })
    expect(answer.info).toMatchObject({ codec: 'native', file, tried: [{ from: file, error: null }] })
    expect(stderr).toBe('')
  })

  it('takes the addon of the platform package, if it has the same version', async () => {
    const folder = install()
    const home = addPackage(folder, version())
    copyAddon(join(home, addonFile))
    const { answer } = await probe(folder, '')
    expect(answer.info).toMatchObject({ codec: 'native', file: join(home, addonFile) })
    expect(answer.info.tried.map(({ from, error }) => [from, error === null])).toEqual([
      [join(folder, 'native/node', addonFile), false],
      [packageName, true],
    ])
    expect(answer.warnings).toEqual([])
  })

  it('refuses a platform package of another version', async () => {
    const folder = install()
    copyAddon(join(addPackage(folder, '9.9.9'), addonFile))
    const { answer } = await probe(folder)
    expect(answer.name).toBe('typescript')
    expect(answer.info.tried[1].error).toContain(`${packageName} has version 9.9.9, but liminal-bus is ${version()}`)
  })

  it('refuses an addon that lacks functions, and names them', async () => {
    const folder = install()
    const home = addPackage(folder, version(), 'index.js')
    writeFileSync(join(home, 'index.js'), 'exports.scanFrames = () => 0')
    const { answer } = await probe(folder)
    expect(answer.name).toBe('typescript')
    expect(answer.info.tried[1].error).toMatch(/lacks encodeDeliverRun, .*transcodeFrame/)
  })

  it('goes on to the package when the checkout has a broken file', async () => {
    const folder = install()
    mkdirSync(join(folder, 'native/node'), { recursive: true })
    writeFileSync(join(folder, 'native/node', addonFile), 'not a library')
    copyAddon(join(addPackage(folder, version()), addonFile))
    const { answer } = await probe(folder, 'native')
    expect(answer.name).toBe('native')
    expect(answer.info.reason).toContain('LIMINAL_CODEC=native')
    expect(answer.info.tried[0].error).toBeTruthy()
  })

  it('falls back to TypeScript with one warning for the whole process, workers included', async () => {
    const folder = install()
    const { answer, stderr } = await probe(folder)
    expect(answer).toMatchObject({ name: 'typescript', native: null, again: 0 })
    expect(answer.info).toMatchObject({ codec: 'typescript', file: null })
    expect(answer.info.reason).toContain(platform)
    expect(answer.info.tried.map(({ from }) => from)).toEqual([join(folder, 'native/node', addonFile), packageName])
    expect(answer.warnings).toHaveLength(1)
    expect(answer.warnings[0].code).toBe('LIMINAL_CODEC_FALLBACK')
    for (const part of [
      platform,
      packageName,
      'no such file',
      'Install the optional dependency',
      'LIMINAL_CODEC=typescript',
    ]) {
      expect(answer.warnings[0].message).toContain(part)
    }
    expect(stderr.match(/LIMINAL_CODEC_FALLBACK/g)).toHaveLength(1)
  })

  it('does not look for an addon when TypeScript is forced', async () => {
    const folder = install()
    copyAddon(join(addPackage(folder, version()), addonFile))
    const { answer, stderr } = await probe(folder, 'typescript')
    expect(answer).toMatchObject({ name: 'typescript', native: null, warnings: [] })
    expect(answer.info).toMatchObject({ codec: 'typescript', file: null, tried: [] })
    expect(answer.info.reason).toContain('LIMINAL_CODEC=typescript')
    expect(stderr).toBe('')
  })

  it('fails the import when native is forced and missing, with everything that was tried', async () => {
    const folder = install()
    const { answer, stderr } = await probe(folder, 'native')
    expect(answer.error.code).toBe('CODEC_UNAVAILABLE')
    for (const part of [join(folder, 'native/node', addonFile), packageName, 'npm run build:native']) {
      expect(answer.error.message).toContain(part)
    }
    expect(answer.error.causes).toHaveLength(2)
    expect(answer.error.causes[0]).toContain(packageName)
    expect(answer.error.causes[1]).toContain('no such file')
    expect(stderr).toBe('')
  })

  it('fails the import for any other wish', async () => {
    const { answer } = await probe(install(), 'rust')
    expect(answer.error.code).toBe('INVALID_ARGUMENT')
    expect(answer.error.message).toContain('"rust"')
  })
})
