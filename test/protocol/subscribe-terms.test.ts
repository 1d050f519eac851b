import { describe, expect, it } from 'vitest'
import { LiminalError } from '../../ts/errors.ts'
import {
  LARGEST_TERMS_BYTES,
  readSubscribeTerms,
  type SubscribeTerms,
  withSubscribeTerms,
} from '../../ts/protocol/index.ts'

function roundTrip(terms: SubscribeTerms): unknown {
  return readSubscribeTerms(withSubscribeTerms('orders', terms))
}

function refusalOf(json: string): LiminalError {
  try {
    readSubscribeTerms(`orders\0${json}`)
  } catch (error) {
    if (error instanceof LiminalError) return error
    throw error
  }
  throw new Error(`${json} was taken`)
}

describe('the terms of a subscription', () => {
  it('come back as they were written', () => {
    const starts = ['latest', 'earliest', { position: 2n ** 64n - 1n }, { position: 0n }, { time: 1_700_000_000_000 }]
    for (const from of starts as SubscribeTerms['from'][]) {
      const terms = { from, cursor: null, acceptsEach: false }
      expect(roundTrip(terms)).toEqual({ channel: 'orders', terms })
    }
    const cursor = {
      name: 'billing "north" ☃',
      checkpoint: { every: 100, withinMs: 50 },
      leaseMs: 1_000,
      maxAttempts: 3,
      deadLetter: 'orders.failed',
    }
    const terms = { from: 'earliest', cursor, acceptsEach: true } as const
    expect(roundTrip(terms)).toEqual({ channel: 'orders', terms })
  })

  it('say nothing of what was left out', () => {
    expect(withSubscribeTerms('orders', { from: 'latest', cursor: null, acceptsEach: false })).toBe('orders')
    expect(readSubscribeTerms('orders').terms).toEqual({ from: 'latest', cursor: null, acceptsEach: false })
    const cursor = { name: 'billing', checkpoint: undefined, leaseMs: undefined }
    expect(withSubscribeTerms('orders', { from: 'latest', cursor, acceptsEach: false })).toBe(
      'orders\0{"from":"latest","cursor":"billing"}',
    )
    expect(readSubscribeTerms('orders\0{}').terms).toEqual({ from: 'latest', cursor: null, acceptsEach: false })
  })

  it.each([
    ['no JSON', 'nonsense', 'not JSON'],
    ['no object', '[]', 'must be an object'],
    ['null', 'null', 'must be an object'],
    ['a member that is not known', '{"filter":"x"}', "'filter' is not known"],
    ['a start that is not known', '{"from":"newest"}', 'must be an object'],
    ['a start of two kinds', '{"from":{"position":"1","time":1}}', 'a position or a time'],
    ['an empty start', '{"from":{}}', 'a position or a time'],
    ['a position that is a number', '{"from":{"position":1}}', 'decimal digits'],
    ['a position below 0', '{"from":{"position":"-1"}}', 'decimal digits'],
    ['a position past a u64', '{"from":{"position":"18446744073709551616"}}', 'decimal digits'],
    ['a time that is text', '{"from":{"time":"now"}}', 'milliseconds'],
    ['a time before the epoch', '{"from":{"time":-1}}', 'milliseconds'],
    ['a time past all times', '{"from":{"time":1e999}}', 'milliseconds'],
    ['a cursor that is no text', '{"cursor":7}', "'cursor' has to be text"],
    ['a dead letter channel that is no text', '{"cursor":"a","deadLetter":7}', "'deadLetter' has to be text"],
    ['a checkpoint that is not known', '{"cursor":"a","checkpoint":"never"}', 'must be an object'],
    ['a checkpoint without its count', '{"cursor":"a","checkpoint":{"withinMs":5}}', "'checkpoint.every'"],
    ['a checkpoint of none', '{"cursor":"a","checkpoint":{"every":0}}', "'checkpoint.every'"],
    ['a lease of half a millisecond', '{"cursor":"a","leaseMs":0.5}', "'leaseMs'"],
    ['no attempts', '{"cursor":"a","maxAttempts":0}', "'maxAttempts'"],
    ['a lease without a cursor', '{"leaseMs":5}', "'leaseMs' needs a 'cursor'"],
    ['another acceptance', '{"accept":"auto"}', "'accept'"],
  ])('are refused with %s', (_what, json, message) => {
    const error = refusalOf(json)
    expect(error.code).toBe('INVALID_ARGUMENT')
    expect(error.message).toContain(message)
  })

  it('are refused if they are too long', () => {
    const longest = `{"cursor":"${'a'.repeat(LARGEST_TERMS_BYTES - 13)}"}`
    expect(Buffer.byteLength(longest)).toBe(LARGEST_TERMS_BYTES)
    expect(readSubscribeTerms(`orders\0${longest}`).terms.cursor?.name).toHaveLength(LARGEST_TERMS_BYTES - 13)
    expect(refusalOf(`{"cursor":"${'a'.repeat(LARGEST_TERMS_BYTES - 12)}"}`).message).toContain('are allowed')
    const cursor = { name: '☃'.repeat(LARGEST_TERMS_BYTES / 3) }
    expect(() => withSubscribeTerms('orders', { from: 'latest', cursor, acceptsEach: false })).toThrow('are allowed')
  })

  it('keep what the name of a channel is apart from what stands behind it', () => {
    expect(readSubscribeTerms('a{"from":1}\0{"from":"earliest"}').channel).toBe('a{"from":1}')
    // A second NUL is in the terms, where JSON has no place for it.
    expect(() => readSubscribeTerms('orders\0{"cursor":"a\0b"}')).toThrow('not JSON')
  })
})
