import { Readable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { linesOf } from '../../ts/cli/lines.ts'

async function linesOfChunks(
  chunks: readonly Uint8Array[],
  maxLineBytes = 1_000,
): Promise<(readonly [number, string])[]> {
  const lines: (readonly [number, string])[] = []
  for await (const batch of linesOf(Readable.from(chunks), maxLineBytes)) {
    for (const { number, bytes } of batch) lines.push([number, Buffer.from(bytes).toString('latin1')])
  }
  return lines
}

describe('lines of a stream', () => {
  it('numbers the lines and cuts the newline off, nothing else', async () => {
    const lines = await linesOfChunks([Buffer.from('{"a":1}\r\n\n  {"b":2}\n')])
    expect(lines).toEqual([
      [1, '{"a":1}\r'],
      [2, ''],
      [3, '  {"b":2}'],
    ])
  })

  it('takes a last line without a newline', async () => {
    expect(await linesOfChunks([Buffer.from('1\n2')])).toEqual([
      [1, '1'],
      [2, '2'],
    ])
  })

  it('gives no lines for an empty stream', async () => {
    expect(await linesOfChunks([])).toEqual([])
  })

  it('gives the same lines however the stream is cut', async () => {
    const piece = fc.uint8Array({ maxLength: 12 }).map((bytes) => bytes.map((byte) => (byte < 60 ? 0x0a : byte)))
    await fc.assert(
      fc.asyncProperty(fc.array(piece.filter(({ length }) => length > 0)), async (chunks) => {
        const whole = Buffer.concat(chunks).toString('latin1')
        const expected = (whole.endsWith('\n') ? whole.slice(0, -1) : whole).split('\n')
        const lines = await linesOfChunks(chunks)
        expect(lines).toEqual(whole === '' ? [] : expected.map((text, index) => [index + 1, text]))
      }),
    )
  })

  it('refuses a line past the limit as soon as it is too long, and names it', async () => {
    const source = Readable.from(
      (function* () {
        yield Buffer.from('ok\n')
        // Endless: only a refusal ends it.
        while (true) yield Buffer.from('x'.repeat(10))
      })(),
    )
    const read = async () => {
      for await (const _ of linesOf(source, 25));
    }
    await expect(read()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('line 2') })
    expect(source.destroyed).toBe(true)
  })
})
