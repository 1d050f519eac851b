import { describe, expect, it } from 'vitest'
import { describedPayload, parseJsonBytes, payloadOf, readablePayload } from '../../ts/cli/payload.ts'

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8')

describe('values on the command line', () => {
  it('passes JSON on as it was typed', () => {
    expect(text(payloadOf(' {"b": 1.0,"a":1e3} ', 'json'))).toBe(' {"b": 1.0,"a":1e3} ')
  })

  it('makes JSON strings of text and bytes of hex', () => {
    expect(text(payloadOf('say "hi"', 'text'))).toBe('"say \\"hi\\""')
    expect([...payloadOf('00fF', 'bytes')]).toEqual([0, 255])
  })

  it.each([
    ['hello', 'json', '--text'],
    ['abc', 'bytes', 'hex'],
    ['zz', 'bytes', 'hex'],
  ] as const)('refuses %s as %s and says what to do', (value, kind, message) => {
    expect(() => payloadOf(value, kind)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) }),
    )
  })
})

describe('payloads', () => {
  it('are JSON only if they are UTF-8', () => {
    expect(parseJsonBytes(Buffer.from('{"a":[1]}'))).toEqual({ a: [1] })
    expect(() => parseJsonBytes(Buffer.from([0x22, 0xff, 0x22]))).toThrow(
      expect.objectContaining({ code: 'PAYLOAD_INVALID' }),
    )
    expect(() => parseJsonBytes(Buffer.from('{'))).toThrow(expect.objectContaining({ code: 'PAYLOAD_INVALID' }))
  })

  it('are described by their value, or else in hex', () => {
    expect(describedPayload(Buffer.from('[1]'))).toEqual({ value: [1] })
    expect(describedPayload(Buffer.from([1, 2]))).toEqual({ bytes: '0102' })
  })

  it('never reach a terminal with control characters', () => {
    expect(readablePayload(Buffer.from('{"é":"\u{1f600}"}\n'))).toBe('{"é":"\u{1f600}"}\n')
    expect(readablePayload(Buffer.from('\u001b[31mred'))).toBe('<8 bytes: 1b5b33316d726564>')
    expect(readablePayload(Buffer.from([0xff]))).toBe('<1 bytes: ff>')
  })
})
