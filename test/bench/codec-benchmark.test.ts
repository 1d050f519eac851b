import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it, type TestContext } from 'vitest'

const MAIN = fileURLToPath(new URL('../../bench/codec/main.ts', import.meta.url))
const PAIR = ['case', 'nativeOpsPerSecond', 'typescriptOpsPerSecond', 'ratio']

interface Pair {
  readonly case: string
  readonly nativeOpsPerSecond: number
  readonly typescriptOpsPerSecond: number
  readonly ratio: number
}

interface Comparison {
  readonly case: string
  readonly per: string
  readonly nanoseconds: Record<string, number | null>
  readonly encodedBytes?: Record<string, number>
  readonly materialises?: Record<string, string>
}

type Entry = Pair | Comparison | { readonly case: string; readonly skipped: string }

describe('the codec benchmark', () => {
  let entries: Entry[] = []

  // One run of everything, which may have to compile the control addon first.
  beforeAll(async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', MAIN, '--touch', '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    const [code] = await once(child, 'close')
    expect(code).toBe(0)
    entries = JSON.parse(output)
  }, 180_000)

  it('prints a pair of native and TypeScript for every case, and nothing else in it', () => {
    const pairs = entries.filter((entry): entry is Pair => 'ratio' in entry)
    for (const pair of pairs) {
      expect(Object.keys(pair)).toEqual(PAIR)
      expect(pair.nativeOpsPerSecond / pair.typescriptOpsPerSecond).toBeCloseTo(pair.ratio, 1)
    }
    const names = pairs.map((pair) => pair.case)
    for (const size of ['16 B', '128 B', '4 KiB']) {
      for (const what of ['encode', 'decode', 'chunk to columns', 'chunk to frames', 'fan-out']) {
        expect(names).toContain(`${what} ${size}`)
      }
    }
    expect(names).toContain('schema id 2 KiB')
  })

  it('says what decoding a message costs us, and what it leaves in memory', () => {
    expectMessages([
      'liminal native, chunk to columns',
      'liminal native, chunk to views',
      'liminal native, chunk to objects',
      'liminal typescript, chunk to columns',
      'liminal, frame by frame',
    ])
  })

  it('says the same of the codecs of other projects', (context) => {
    needs(context, 'codecs of other projects')
    expectMessages(['msgpackr', 'msgpackr, records', 'cbor-x', 'cbor-x, records', '@bufbuild/protobuf', 'protobufjs'])
  })

  it('tells apart what N-API, node-addon-api and napi-rs take for a call', (context) => {
    needs(context, 'the C++ control')
    for (const name of ['call without arguments', 'call with a Buffer', 'call with two arrays']) {
      const { nanoseconds } = comparison(name)
      expect(Object.keys(nanoseconds)).toEqual(['N-API', 'node-addon-api', 'napi-rs'])
      expect(nanoseconds['N-API']).toBeGreaterThan(0)
    }
    expect(comparison('call with two arrays').nanoseconds['napi-rs']).toBeGreaterThan(0)
  })

  it('scans chunks of 1 to 320 frames and payloads of 16 B to 64 KiB in both languages', () => {
    expectScans(['TypeScript', 'Rust, napi-rs'])
  })

  it('scans the same chunks in C++', (context) => {
    needs(context, 'the C++ control')
    expectScans(['C++, node-addon-api', 'C++, N-API'])
  })

  function expectMessages(codecs: string[]): void {
    for (const size of ['16 B', '128 B', '128 B with key and origin', '1 KiB', '4 KiB', '64 KiB']) {
      const decode = comparison(`decode message ${size}`)
      expect(Object.keys(decode.nanoseconds)).toEqual(expect.arrayContaining(codecs))
      expect(Object.keys(decode.materialises ?? {})).toEqual(Object.keys(decode.nanoseconds))
      const encode = comparison(`encode message ${size}`)
      expect(Object.keys(encode.encodedBytes ?? {})).toEqual(Object.keys(encode.nanoseconds))
    }
  }

  function expectScans(scans: string[]): void {
    const names = [1, 4, 16, 64, 320].map((frames) => `scan of ${frames} x 128 B`)
    for (const name of [
      ...names,
      'scan of 320 x 16 B',
      'scan of 320 x 1 KiB',
      'scan of 320 x 4 KiB',
      'scan of 16 x 64 KiB',
    ]) {
      expect(Object.keys(comparison(name).nanoseconds)).toEqual(expect.arrayContaining(scans))
    }
  }

  function comparison(name: string): Comparison {
    const found = entries.find((entry): entry is Comparison => entry.case === name && 'nanoseconds' in entry)
    if (found === undefined) throw new Error(`there is no ${name}`)
    return found
  }

  /** Ends a test about a part that could not be measured here, with the reason that the output has to give. Where LIMINAL_TEST_BENCHMARKS is `required` there is no such reason. */
  function needs(context: TestContext, part: string): void {
    const missing = entries.find((entry) => entry.case === part && 'skipped' in entry)
    if (missing === undefined) return
    const reason = `Not measured: ${part}, because ${'skipped' in missing ? missing.skipped : ''}`
    if (process.env.LIMINAL_TEST_BENCHMARKS === 'required') throw new Error(reason)
    context.skip(reason)
  }
})
