import { describe, expect, it, vi } from 'vitest'
import { LiminalError, ProtocolError } from '../ts/errors.ts'

describe('LiminalError', () => {
  it('carries its code, whether a retry can help, and its cause', () => {
    const cause = new Error('socket hang up')
    const error = new LiminalError('CONNECTION_LOST', 'The connection to the server was lost.', { cause })
    expect(error).toMatchObject({ code: 'CONNECTION_LOST', retryable: true, cause, name: 'LiminalError' })
    expect(new LiminalError('INVALID_ARGUMENT', 'No.').retryable).toBe(false)
    expect(new LiminalError('INVALID_ARGUMENT', 'No.', { retryable: true }).retryable).toBe(true)
    expect('cause' in new LiminalError('INTERNAL', 'No cause.')).toBe(false)
  })

  it('recognises the errors of a second copy of the package', async () => {
    vi.resetModules()
    const copy = (await import('../ts/errors.ts')) as typeof import('../ts/errors.ts')
    expect(copy.LiminalError).not.toBe(LiminalError)
    expect(new copy.LiminalError('TIMEOUT', 'Late.')).toBeInstanceOf(LiminalError)
    expect(new copy.ProtocolError('CodecError', 9, 'Bad.')).toBeInstanceOf(LiminalError)
    expect(new Error('Other.')).not.toBeInstanceOf(LiminalError)
    expect(null).not.toBeInstanceOf(LiminalError)
  })

  it('tells its subclasses apart', () => {
    class Refused extends LiminalError {}
    expect(new ProtocolError('CodecError', 9, 'Bad.')).toBeInstanceOf(ProtocolError)
    expect(new LiminalError('TIMEOUT', 'Late.')).not.toBeInstanceOf(ProtocolError)
    expect(new LiminalError('TIMEOUT', 'Late.')).not.toBeInstanceOf(Refused)
    expect(new Refused('TIMEOUT', 'Late.')).toBeInstanceOf(Refused)
  })
})
