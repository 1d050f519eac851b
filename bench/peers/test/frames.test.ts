import { describe, expect, it } from 'vitest'
import { FrameScanner } from '../source/clients/frames.ts'

const PAYLOADS = ['', 'a', 'four', 'a longer payload', 'x'.repeat(3_000), 'end'].map((text) => Buffer.from(text))

function framed(payloads: readonly Buffer[]): Buffer {
  return Buffer.concat(
    payloads.flatMap((payload) => {
      const head = Buffer.alloc(4)
      head.writeUInt32LE(payload.length)
      return [head, payload]
    }),
  )
}

describe.each([true, false])('a scanner of frames, its memory reused: %s', (reuse) => {
  it('finds the same frames wherever the chunks are cut', () => {
    const bytes = framed([...PAYLOADS, ...PAYLOADS])
    const expected = [...PAYLOADS, ...PAYLOADS].map(String)
    for (const length of [1, 2, 3, 5, 7, 64, 1_000, bytes.length]) {
      const found: string[] = []
      const scanner = new FrameScanner((chunk, offset, size) => {
        found.push(chunk.toString('utf8', offset, offset + size))
      }, reuse)
      let frames = 0
      for (let at = 0; at < bytes.length; at += length) {
        const chunk = Buffer.from(bytes.subarray(at, at + length))
        frames += scanner.scan(chunk, chunk.length)
      }
      expect(found).toEqual(expected)
      expect(frames).toBe(expected.length)
    }
  })
})

describe('a scanner that does not reuse its memory', () => {
  it('leaves a payload alone that was cut by a chunk', () => {
    const views: Buffer[] = []
    const scanner = new FrameScanner((chunk, offset, size) => {
      views.push(chunk.subarray(offset, offset + size))
    }, false)
    const bytes = framed([Buffer.from('first message'), Buffer.from('second one')])
    for (let at = 0; at < bytes.length; at += 6) {
      const chunk = Buffer.from(bytes.subarray(at, at + 6))
      scanner.scan(chunk, chunk.length)
    }
    expect(views.map(String)).toEqual(['first message', 'second one'])
  })
})
