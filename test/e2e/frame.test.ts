import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { liminal } from './cli.ts'

interface Vector {
  readonly kind: string
  readonly hex: string
  readonly until?: string
  readonly error?: string
  readonly reasonCode?: number
}

const { vectors }: { vectors: Vector[] } = JSON.parse(
  readFileSync(new URL('../vectors/wire-v1.json', import.meta.url), 'utf8'),
)
const frames = vectors.filter(({ kind, until }) => kind === 'frame' && until === undefined).map(({ hex }) => hex)

describe('liminal frame', () => {
  it('decodes all vectors to JSON and encodes them back', async () => {
    const decoded = await liminal(['frame', 'decode', '--json'], { input: frames.join('\n') })
    expect(decoded.code).toBe(0)
    expect(decoded.stdout.trim().split('\n')).toHaveLength(frames.length)
    const encoded = await liminal(['frame', 'encode'], { input: decoded.stdout })
    expect(encoded.code).toBe(0)
    expect(encoded.stdout).toBe(`${frames.join('\n')}\n`)
  })

  it('encodes what it decodes in the readable form, too', async () => {
    const decoded = await liminal(['frame', 'decode'], { input: frames.join(' ') })
    const encoded = await liminal(['frame', 'encode'], { input: decoded.stdout })
    expect(encoded.stdout).toBe(`${frames.join('\n')}\n`)
  })

  it('takes hex in pieces and in capitals', async () => {
    const { code, stdout } = await liminal([
      'frame',
      'decode',
      '1300 0000',
      '0000000',
      '00000',
      '14',
      '000000000000000000',
    ])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual([
      { type: 'Ping', typeId: 0x13, flags: 0, streamId: 0 },
      { type: 'Pong', typeId: 0x14, flags: 0, streamId: 0 },
    ])
    const { stdout: unknown } = await liminal(['frame', 'decode', 'FE000000000000000001AB'])
    expect(JSON.parse(unknown)).toEqual({ type: 'Unknown', typeId: 0xfe, flags: 0, streamId: 0, payload: 'ab' })
  })

  it('says code, reason code and place of what is broken, after the frames before it', async () => {
    const { code, stdout, stderr } = await liminal(['frame', 'decode', '--json', `13${'00'.repeat(9)}13`])
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ type: 'Ping' })
    expect(JSON.parse(stderr).error).toMatchObject({
      code: 'IncompleteHeader',
      reasonCode: 1,
      message: expect.stringContaining('frame 2, at byte 10'),
    })
  })

  it('says so where the codec that is asked for does not exist', async () => {
    const { code, stderr } = await liminal(['frame', 'decode', '13', '--json'], {
      environment: { LIMINAL_CODEC: 'wasm' },
    })
    expect(code).toBe(2)
    expect(JSON.parse(stderr).error).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('wasm'),
    })
  })

  it('fails on frames that have no encoding: exit code 1', async () => {
    const { code, stderr } = await liminal(['frame', 'encode', '{"type":"Ping","streamId":1}'])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^InvalidStream: .*\(reason code 4\)/)
  })

  it.each([
    ['no hex', ['frame', 'decode', 'xyz'], '"x" is not a hex digit (digit 1)'],
    ['half a byte', ['frame', 'decode', '130'], 'hex digits come in pairs'],
    ['nothing', ['frame', 'decode'], 'nothing to decode'],
    ['no JSON', ['frame', 'encode', '{'], 'not JSON'],
    ['no frame', ['frame', 'encode', '{"type":"Pin","streamId":0}'], 'frame.type must be'],
  ])('refuses %s: exit code 2', async (_, args, message) => {
    const { code, stderr } = await liminal(args)
    expect(code).toBe(2)
    expect(stderr).toContain(message)
  })
})
