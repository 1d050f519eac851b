import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const MAIN = fileURLToPath(new URL('../../bench/codec/main.ts', import.meta.url))

describe('the codec benchmark', () => {
  it('prints one JSON array of paired results for every case', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', MAIN, '--quick', '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    const [code] = await once(child, 'close')
    expect(code).toBe(0)
    const results = JSON.parse(output) as {
      case: string
      nativeOpsPerSecond: number
      typescriptOpsPerSecond: number
      ratio: number
    }[]
    for (const result of results) {
      expect(Object.keys(result)).toEqual(['case', 'nativeOpsPerSecond', 'typescriptOpsPerSecond', 'ratio'])
      expect(result.nativeOpsPerSecond / result.typescriptOpsPerSecond).toBeCloseTo(result.ratio, 1)
    }
    const names = results.map((result) => result.case)
    for (const size of ['16 B', '128 B', '4 KiB']) {
      for (const what of ['encode', 'decode', 'chunk to columns', 'chunk to frames', 'fan-out']) {
        expect(names).toContain(`${what} ${size}`)
      }
    }
    expect(names).toContain('schema id 2 KiB')
  })
})
