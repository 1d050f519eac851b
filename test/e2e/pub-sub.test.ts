import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Cli, liminal, sharedServer, startServer, startSub } from './cli.ts'

/** JSON lines of different lengths and spellings, as other programs write them. */
function jsonLines(count: number): Buffer {
  const lines = Array.from({ length: count }, (_, index) =>
    index % 7 === 0
      ? `  {"id": ${index}, "price": 1.50, "name": "Grüße \\u00e9 ${'x'.repeat(index % 90)}"} `
      : `{"id":${index},"tags":["a","b"],"big":12345678901234567890}`,
  )
  return Buffer.from(`${lines.join('\n')}\n`)
}

describe('liminal pub and sub', () => {
  const shared = sharedServer('--create-channels')

  it('carry 200,000 JSON lines from one process to another, byte for byte', async () => {
    const url = shared()
    const sub = new Cli(['sub', 'lines', '--ndjson', '--count', '200000', '--url', url], { unread: true })
    const hash = createHash('sha256')
    let received = 0
    sub.stdoutStream.on('data', (chunk: Buffer) => {
      received += chunk.length
      hash.update(chunk)
    })
    const ended = once(sub.stdoutStream, 'end')
    await sub.noted(/^subscribed to lines$/)
    const input = jsonLines(200_000)
    const pub = await liminal(['pub', 'lines', '--ndjson', '--url', url, '--json'], { input })
    expect(pub.stderr).toBe('')
    expect(pub.code).toBe(0)
    expect(JSON.parse(pub.stdout)).toMatchObject({ published: 200_000, delivered: 200_000, duplicates: 0 })
    expect(await sub.exited()).toEqual({ code: 0, signal: null })
    await ended
    expect(received).toBe(input.length)
    expect(hash.digest('hex')).toBe(createHash('sha256').update(input).digest('hex'))
  }, 120_000)

  it('name the line that is refused, after all before it were published', async () => {
    const url = shared()
    const sub = await startSub(url, 'refused', '--ndjson', '--count', '2')
    const input = '{"id":1}\n\n{"id":2}\n{"id":\n{"id":4}\n'
    const { code, stderr } = await liminal(['pub', 'refused', '--ndjson', '--url', url, '--json'], { input })
    expect(code).toBe(1)
    expect(JSON.parse(stderr).error).toMatchObject({ code: 'PAYLOAD_INVALID', line: 4 })
    expect(await sub.exited()).toEqual({ code: 0, signal: null })
    expect(sub.stdout).toBe('{"id":1}\n{"id":2}\n')
  })

  it('end with the refused line although more input may come', async () => {
    const url = shared()
    const pub = new Cli(['pub', 'endless', '--ndjson', '--url', url])
    pub.stdin.write('1\nnonsense\n')
    expect((await pub.exited()).code).toBe(1)
    expect(pub.stderr).toContain('PAYLOAD_INVALID: line 2: ')
  })

  it('end with exit code 3 when the server dies, although no input comes', async () => {
    const { server, url } = await startServer('--channel', 'orders')
    const sub = await startSub(url, 'orders')
    const pub = new Cli(['pub', 'orders', '--ndjson', '--url', url])
    pub.stdin.write('1\n')
    await sub.printed(/^1$/)
    await server.kill()
    expect((await pub.exited()).code).toBe(3)
    expect(pub.stderr).toMatch(/^CONNECTION_LOST: /)
    await sub.noted(/^disconnected: /)
  })

  it('name the line that was underway when the server died', async () => {
    const { server, url } = await startServer('--channel', 'orders')
    const sub = new Cli(['sub', 'orders', '--url', url], { unread: true })
    await sub.noted(/^subscribed/)
    const pub = new Cli(['pub', 'orders', '--ndjson', '--url', url, '--json'])
    // The subscriber's output is not read, so acknowledgements stop coming at some line.
    pub.stdin.write(Buffer.concat(Array.from({ length: 20 }, () => jsonLines(20_000))))
    await once(sub.stdoutStream, 'readable')
    await server.kill()
    expect((await pub.exited()).code).toBe(3)
    expect(JSON.parse(pub.stderr).error).toMatchObject({ code: 'CONNECTION_LOST', line: expect.any(Number) })
  })

  it('publish a repeated key once', async () => {
    const url = shared()
    const sub = await startSub(url, 'keyed', '--ndjson', '--count', '3')
    const input = '{"key":"a","n":1}\n{"key":"b","n":2}\n{"key":"a","n":3}\n'
    const lines = await liminal(['pub', 'keyed', '--ndjson', '--key-field', 'key', '--url', url, '--json'], { input })
    expect(JSON.parse(lines.stdout)).toMatchObject({ published: 3, duplicates: 1 })
    const again = await liminal(['pub', 'keyed', '--key', 'b', '9', '--url', url, '--json'])
    expect(JSON.parse(again.stdout)).toMatchObject({ duplicate: true })
    await liminal(['pub', 'keyed', '0', '--url', url])
    await sub.exited()
    expect(sub.stdout).toBe('{"key":"a","n":1}\n{"key":"b","n":2}\n0\n')
  })

  it('want a key where --key-field says there is one', async () => {
    const url = shared()
    const input = '{"id":"a"}\n{}\n'
    const { code, stderr } = await liminal(['pub', 'keyless', '--ndjson', '--key-field', 'id', '--url', url], { input })
    expect(code).toBe(1)
    expect(stderr).toContain('line 2: the field "id"')
  })

  it('publish without receipts, and lose nothing', async () => {
    const url = shared()
    const sub = await startSub(url, 'unacknowledged', '--ndjson', '--count', '5000')
    const input = jsonLines(5_000)
    const pub = await liminal(['pub', 'unacknowledged', '--ndjson', '--send', '--url', url, '--json'], { input })
    expect(pub.code).toBe(0)
    expect(JSON.parse(pub.stdout)).toMatchObject({ published: 5_000 })
    expect((await sub.exited()).code).toBe(0)
    expect(sub.stdout).toBe(input.toString('utf8'))
  })

  it('report what was refused of messages published without receipts', async () => {
    const { url } = await startServer('--channel', 'orders')
    const value = await liminal(['pub', 'other', '1', '--send', '--url', url])
    expect(value.code).toBe(1)
    expect(value.stderr).toContain('CHANNEL_NOT_FOUND: ')
    const folder = mkdtempSync(join(tmpdir(), 'liminal-'))
    try {
      const schema = join(folder, 'numbers.json')
      writeFileSync(schema, '{"type":"number"}')
      const { url: strict } = await startServer('--channel', `numbers=${schema}`)
      const lines = await liminal(['pub', 'numbers', '--ndjson', '--send', '--url', strict], { input: '1\n"two"\n3\n' })
      expect(lines.code).toBe(1)
      expect(lines.stderr).toContain('PAYLOAD_INVALID: 1 of 3 messages were refused; of the last one: ')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('carry text, bytes and several values in order', async () => {
    const url = shared()
    const sub = await startSub(url, 'notes', '--json', '--count', '4')
    expect((await liminal(['pub', 'notes', '--text', 'a "b"', '--url', url])).code).toBe(0)
    expect((await liminal(['pub', 'notes', '1', '[2]', '--url', url])).stdout.split('\n')).toHaveLength(3)
    expect((await liminal(['pub', 'notes', '--bytes', '00ff', '--url', url])).code).toBe(0)
    await sub.exited()
    const messages = sub.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(messages[0]).toEqual({
      channel: 'notes',
      sequence: '1',
      schemaId: '0'.repeat(64),
      parentId: null,
      vectorClockEntry: null,
      value: 'a "b"',
    })
    expect(messages.slice(1).map(({ sequence, value, bytes }) => [sequence, value, bytes])).toEqual([
      ['2', 1, undefined],
      ['3', [2], undefined],
      ['4', undefined, '00ff'],
    ])
  })

  it('keep JSON over several lines on one line', async () => {
    const url = shared()
    const sub = await startSub(url, 'folded', '--ndjson', '--count', '1')
    await liminal(['pub', 'folded', '{\n  "id": 1\n}', '--url', url])
    await sub.exited()
    expect(sub.stdout).toBe('{   "id": 1 }\n')
  })

  it('end with exit code 4 when too little comes in time', async () => {
    const url = shared()
    const { code, stderr } = await liminal(['sub', 'quiet', '--count', '1', '--timeout', '50', '--url', url])
    expect(code).toBe(4)
    expect(stderr).toContain('TIMEOUT: ')
  })

  it('end with 130 by SIGINT and 143 by SIGTERM', async () => {
    const url = shared()
    const first = await startSub(url, 'interrupted')
    first.signal('SIGINT')
    expect(await first.exited()).toEqual({ code: 130, signal: null })
    const second = await startSub(url, 'interrupted')
    second.signal('SIGTERM')
    expect(await second.exited()).toEqual({ code: 143, signal: null })
    const pub = new Cli(['pub', 'interrupted', '--ndjson', '--url', url])
    const third = await startSub(url, 'interrupted')
    pub.stdin.write('1\n')
    await third.printed(/^1$/)
    pub.signal('SIGINT')
    expect(await pub.exited()).toEqual({ code: 130, signal: null })
  })

  it('end quietly when nobody reads the output any more', async () => {
    const url = shared()
    const sub = new Cli(['sub', 'unread', '--url', url], { unread: true })
    await sub.noted(/^subscribed/)
    sub.stdoutStream.destroy()
    const input = jsonLines(2_000)
    expect((await liminal(['pub', 'unread', '--ndjson', '--url', url], { input })).code).toBe(0)
    expect(await sub.exited()).toEqual({ code: 0, signal: null })
    expect(sub.stderr).toBe('subscribed to unread\n')
  })

  it('cannot reach a server that is not there: exit code 3', async () => {
    const { server, url } = await startServer()
    await server.kill()
    const { code, stderr } = await liminal(['pub', 'orders', '1', '--url', url])
    expect(code).toBe(3)
    expect(stderr).toMatch(/^CONNECTION_FAILED: /)
    expect(stderr).toContain('hint: is a server running there?')
  })
})
