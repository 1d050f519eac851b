import { describe, expect, it } from 'vitest'
import { ALL_CAPABILITIES, Capability, codeOf, EXTENSION_MASK, ReasonCode, reasonOf } from '../../ts/protocol/index.ts'

describe('reason codes', () => {
  it('lead back to the error that they were made from', () => {
    for (const code of [
      'CHANNEL_NOT_FOUND',
      'NO_RESPONDER',
      'AuthenticationFailure',
      'TIMEOUT',
      'CodecError',
    ] as const) {
      expect(codeOf(reasonOf(code))).toBe(code)
    }
  })

  it('fall back to the generic one where the wire has no name for an error', () => {
    expect(reasonOf('INTERNAL')).toBe(ReasonCode.ServerError)
    expect(codeOf(ReasonCode.ServerError)).toBe('REMOTE_ERROR')
    expect(codeOf(0x1234)).toBe('REMOTE_ERROR')
  })
})

describe('capability bits', () => {
  it('are distinct and stay in the upper half, which this project owns', () => {
    const bits = Object.values(Capability)
    expect(new Set(bits).size).toBe(bits.length)
    expect(ALL_CAPABILITIES & ~EXTENSION_MASK).toBe(0)
    for (const bit of bits) expect(Math.log2(bit) % 1).toBe(0)
  })
})
