import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { createBus } from '../../ts/bus/index.ts'
import { EmbeddedStore } from '../../ts/durability/index.ts'
import { makeDirectories, replaceFile } from '../../ts/durability/lasting-files.ts'

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'liminal-files-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
})

describe('directories', () => {
  it('are made with all that are missing around them, and left as they are if they are there', () => {
    const path = join(root, 'one', 'two', 'three')
    for (let time = 0; time < 2; time++) {
      makeDirectories(path)
      expect(statSync(path).isDirectory()).toBe(true)
    }
  })

  it.each([
    ['a file is in the way', (path: string) => writeFileSync(path, '')],
    ['a link that leads nowhere is in the way', (path: string) => symlinkSync(join(root, 'nowhere', 'else'), path)],
  ])('are refused by name where %s', async (_, block) => {
    const path = join(root, 'blocked')
    block(path)
    for (const dataDir of [path, join(path, 'data'), join(path, 'data', 'further')]) {
      await expect(createBus({ dataDir })).rejects.toMatchObject({
        code: 'STORE_FAILED',
        retryable: false,
        message: expect.stringContaining(`'${dataDir}'`),
      })
    }
  })

  it.runIf(existsSync('/proc/self'))('are refused where the parent exists and takes none', async () => {
    for (const path of ['/proc/liminal', '/proc/liminal/data/orders']) {
      await expect(createBus({ dataDir: path })).rejects.toMatchObject({ code: 'STORE_FAILED', retryable: false })
      await expect(EmbeddedStore.open({ path })).rejects.toMatchObject({ code: 'STORE_FAILED' })
    }
  })
})

describe('a file that is replaced', () => {
  it('has the new text, and leaves nothing else behind', () => {
    const file = join(root, 'list.json')
    for (const text of ['one, which is longer', 'two']) {
      replaceFile(file, text)
      expect(readFileSync(file, 'utf8')).toBe(text)
    }
    expect(readdirSync(root)).toEqual(['list.json'])
  })
})
