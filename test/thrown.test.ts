import { describe, expect, it } from 'vitest'
import { LiminalError } from '../ts/errors.ts'
import { asLiminalError, asSentence, isError, nameOf, textOf, toLiminalError } from '../ts/thrown.ts'
import { HOSTILE } from './hostile.ts'

describe('what was thrown', () => {
  it.each(Object.entries(HOSTILE))('can be looked at when it is %s', (_kind, make) => {
    const thrown = make()
    expect(typeof textOf(thrown)).toBe('string')
    expect(typeof nameOf(thrown)).toBe('string')
    expect(typeof isError(thrown)).toBe('boolean')
    expect(asLiminalError(thrown)).toBeNull()
    const error = toLiminalError(thrown)
    expect(error.code).toBe('INTERNAL')
    expect(Object.is(error.cause, thrown)).toBe(true)
  })

  it('says its message', () => {
    expect(textOf(new TypeError('no'))).toBe('no')
    expect(textOf('no')).toBe("'no'")
    expect(nameOf(new TypeError('no'))).toBe('TypeError')
  })

  it('is itself if it is an error of the package', () => {
    const error = new LiminalError('TIMEOUT', 'late')
    expect(toLiminalError(error)).toBe(error)
    expect(asLiminalError(error)).toBe(error)
  })

  it('is foreign if it only looks like one', () => {
    const disguised = new Proxy(new LiminalError('TIMEOUT', 'late'), {
      get: () => {
        throw new Error('no')
      },
    })
    expect(asLiminalError(disguised)).toBeNull()
    expect(toLiminalError(disguised).code).toBe('INTERNAL')
  })
})

describe('a text as a sentence', () => {
  it.each([
    ['gone', 'gone.'],
    ['gone.', 'gone.'],
    ['gone?', 'gone?'],
    ['', '.'],
  ])('%j is %j', (text, sentence) => {
    expect(asSentence(text)).toBe(sentence)
  })
})
