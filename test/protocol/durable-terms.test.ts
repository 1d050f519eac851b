import { describe, expect, it } from 'vitest'
import { type DurableOpenTerms, readDurableTerms, withDurableTerms } from '../../ts/protocol/index.ts'

describe('the terms of a durable conversation', () => {
  it('come back as they were written', () => {
    const all: DurableOpenTerms[] = [
      { key: 'k' },
      { key: 'ü', existing: true },
      { key: 'k', onCrash: 'fail', deadlineMs: 5, idleTimeoutMs: 6 },
      { key: 'k', parentId: 'p', vectorClockEntry: '18446744073709551615' },
    ]
    for (const terms of all) {
      expect(readDurableTerms(withDurableTerms('order', terms))).toEqual({ subject: 'order', terms })
    }
  })

  it('are refused in any other form', () => {
    const bad: [string, string][] = [
      ['order', 'there are none'],
      ['order\0{', 'not JSON'],
      ['order\0[]', 'an object'],
      ['order\0{}', "'key'"],
      ['order\0{"key":1}', "'key'"],
      ['order\0{"key":"k","keys":1}', "'keys' is not known"],
      ['order\0{"key":"k","existing":1}', "'existing'"],
      ['order\0{"key":"k","onCrash":"compensate"}', "'onCrash'"],
      ['order\0{"key":"k","deadlineMs":-1}', "'deadlineMs'"],
      ['order\0{"key":"k","idleTimeoutMs":1e12}', "'idleTimeoutMs'"],
      ['order\0{"key":"k","parentId":1}', "'parentId'"],
      ['order\0{"key":"k","vectorClockEntry":"18446744073709551616"}', "'vectorClockEntry'"],
      [`order\0{"key":"${'k'.repeat(4_096)}"}`, '4096 are allowed'],
    ]
    for (const [field, why] of bad) {
      expect(() => readDurableTerms(field), field.slice(0, 64)).toThrow(why)
      expect(() => readDurableTerms(field)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    }
    expect(() => withDurableTerms('order', { key: 'k'.repeat(4_096) })).toThrow('4096 are allowed')
  })
})
