import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { LastText } from '../ts/last-text.ts'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

function used(): number {
  collectGarbage()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return arrayBuffers + heapUsed
}

describe('the last text', () => {
  it('is what the bytes say, whatever was read before and wherever they lie', () => {
    const last = new LastText()
    const texts = ['greet', 'greet', 'great', 'gree', '', 'é', '\ufeffbom', 'greet', 'x'.repeat(2_000), 'greet']
    const bytes = new Uint8Array(5_000)
    texts.forEach((text, index) => {
      const encoded = Buffer.from(text)
      bytes.fill(0xff)
      bytes.set(encoded, index)
      expect(last.read(bytes, index, encoded.length)).toBe(text)
    })
  })

  it('is not kept where it is no name: one connection would keep as much as a frame may have', () => {
    const lasts = Array.from({ length: 16 }, () => new LastText())
    const long = new Uint8Array(2 * 1024 * 1024).fill(0x61)
    const before = used()
    for (const last of lasts) expect(last.read(long, 0, long.length)).toHaveLength(long.length)
    expect(used() - before).toBeLessThan(8 * 1024 * 1024)
    expect(lasts).toHaveLength(16)
  })

  it('does not keep the chunk that it came in', () => {
    const before = used()
    const lasts = Array.from({ length: 16 }, (_, index) => {
      const chunk = Buffer.alloc(2 * 1024 * 1024)
      const name = `name ${index}`
      const length = chunk.write(name, 100)
      const last = new LastText()
      expect(last.read(chunk, 100, length)).toBe(name)
      return last
    })
    expect(used() - before).toBeLessThan(8 * 1024 * 1024)
    expect(lasts).toHaveLength(16)
  })
})
