import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { root } from './packages.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'liminal-bus-scripts-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Runs a script of the checkout, or of a copy of it, and returns how it ended. */
function script(name: string, options: readonly string[] = [], at: string = root) {
  return spawnSync(process.execPath, [join(at, 'scripts', name), ...options], { cwd: at, encoding: 'utf8' })
}

describe('putting the published package.json in place', () => {
  let original: string
  beforeEach(() => {
    cpSync(join(root, 'scripts'), join(folder, 'scripts'), { recursive: true })
    copyFileSync(join(root, 'package.json'), join(folder, 'package.json'))
    original = manifest()
  })

  const manifest = () => readFileSync(join(folder, 'package.json'), 'utf8')
  const enter = () => {
    const program = `import('./scripts/published-manifest.mjs').then((module) => module.enterPublished())`
    execFileSync(process.execPath, ['--eval', program], { cwd: folder })
  }

  it('is undone to the byte by postpack', () => {
    enter()
    expect(JSON.parse(manifest())).not.toHaveProperty('scripts')
    expect(Object.keys(JSON.parse(manifest()).optionalDependencies)).toHaveLength(8)
    expect(script('postpack.mjs', [], folder).status).toBe(0)
    expect(manifest()).toBe(original)
    expect(existsSync(join(folder, 'package.json.checkout'))).toBe(false)
  })

  it('survives a pack that died: the next one starts from the original', () => {
    enter()
    enter()
    script('postpack.mjs', [], folder)
    expect(manifest()).toBe(original)
  })

  it('changes nothing when the build before it fails', () => {
    expect(script('prepack.mjs', [], folder).status).not.toBe(0)
    expect(manifest()).toBe(original)
  })

  it('leaves a package.json alone that was never replaced', () => {
    expect(script('postpack.mjs', [], folder).status).toBe(0)
    expect(manifest()).toBe(original)
  })
})

describe('the platform packages in git', () => {
  it('are what the table of platforms and the version of the main package say', () => {
    const check = script('platform-packages.mjs', ['--check'])
    expect(check.stderr).toBe('')
    expect(check.status).toBe(0)
  })

  it('are refused when a version differs or a folder belongs to no platform', () => {
    for (const name of ['scripts', 'npm', 'Cargo.toml'])
      cpSync(join(root, name), join(folder, name), { recursive: true })
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...manifest, version: '9.9.9' }))
    cpSync(join(folder, 'npm', 'darwin-x64'), join(folder, 'npm', 'plan9-x64'), { recursive: true })
    const check = script('platform-packages.mjs', ['--check'], folder)
    expect(check.status).toBe(1)
    expect(check.stderr).toContain('npm/linux-x64-gnu/package.json is out of date')
    expect(check.stderr).toContain('npm/plan9-x64 is no known platform')
    expect(check.stderr).toContain('package.json 9.9.9')
  })
})

describe('checking an addon', () => {
  /** Bytes that look like a Linux library for a processor that needs the given symbol versions. */
  const library = (machine: number, ...versions: string[]) => {
    const head = Buffer.alloc(64)
    head.writeUInt32LE(0x464c_457f, 0)
    head.writeUInt16LE(machine, 18)
    return Buffer.concat([head, Buffer.from(`\0libc.so\0${versions.join('\0')}\0`)])
  }
  const check = (platform: string, bytes: Buffer) => {
    cpSync(join(root, 'scripts'), join(folder, 'scripts'), { recursive: true })
    cpSync(join(root, 'native', 'node', 'Cargo.toml'), join(folder, 'native', 'node', 'Cargo.toml'))
    writeFileSync(join(folder, 'native', 'node', `liminal-bus.${platform}.node`), bytes)
    return script('check-addon.mjs', [platform], folder)
  }

  it('takes one that needs the oldest glibc or an older one', () => {
    expect(check('linux-x64-gnu', library(0x3e, 'GLIBC_2.2.5', 'GLIBC_2.28')).status).toBe(0)
  })

  it('refuses a newer glibc, also where a comparison of texts would not', () => {
    expect(check('linux-x64-gnu', library(0x3e, 'GLIBC_2.4', 'GLIBC_2.34')).stderr).toContain('needs glibc 2.34')
    expect(check('linux-x64-gnu', library(0x3e, 'GLIBC_2.4', 'GLIBC_2.100')).stderr).toContain('needs glibc 2.100')
  })

  it('refuses glibc in an addon for musl', () => {
    expect(check('linux-x64-musl', library(0x3e)).status).toBe(0)
    expect(check('linux-x64-musl', library(0x3e, 'GLIBC_2.17')).status).toBe(1)
  })

  it('refuses another processor, another system and what is no library', () => {
    expect(check('linux-x64-gnu', library(0xb7, 'GLIBC_2.17')).stderr).toContain('built for linux arm64')
    expect(check('darwin-x64', library(0x3e)).stderr).toContain('built for linux x64')
    expect(check('linux-x64-gnu', Buffer.from('#!/bin/sh')).stderr).toContain('no shared library')
  })
})

describe('adding up what the test runners counted', () => {
  const report = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const vitest = (passed: number, failed: number, testResults: object[] = []) =>
    JSON.stringify({ numPassedTests: passed, numFailedTests: failed, testResults })
  const cargo = 'test result: ok. 7 passed; 0 failed; 0 ignored\n\ntest result: FAILED. 2 passed; 1 failed; 0 ignored\n'
  const lastLine = (text: string) => text.trim().split('\n').at(-1)

  it('sums both kinds of report', () => {
    const sum = script('count-tests.mjs', [report('a.json', vitest(3, 0)), report('cargo.log', cargo)])
    expect(lastLine(sum.stdout)).toBe('12 passed, 1 failed')
    expect(sum.status).toBe(1)
  })

  it('succeeds when nothing failed', () => {
    expect(script('count-tests.mjs', [report('a.json', vitest(3, 0))])).toMatchObject({ status: 0 })
  })

  it('counts a file that could not be loaded as failed', () => {
    const broken = { status: 'failed', assertionResults: [] }
    const sum = script('count-tests.mjs', [report('a.json', vitest(3, 0, [broken]))])
    expect(lastLine(sum.stdout)).toBe('3 passed, 1 failed')
  })

  it('fails, and still prints the sum, when a runner left nothing behind', () => {
    const sum = script('count-tests.mjs', [join(folder, 'absent.json'), report('a.json', vitest(3, 0))])
    expect(sum.stdout).toBe('absent.json: no test was counted\na.json: 3 passed, 0 failed\n3 passed, 0 failed\n')
    expect(sum.status).toBe(1)
  })
})
