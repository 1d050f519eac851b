import { describe, expect, it } from 'vitest'
import type { Receipt } from '../../ts/bus/index.ts'
import { Effects } from './kills/effects.ts'
import { Ledger } from './kills/ledger.ts'
import { identityOf, payloadOf } from './kills/message.ts'

function receipt(position: number | null, duplicate = false): Receipt {
  return {
    messageId: 1n,
    position: position === null ? null : BigInt(position),
    delivered: true,
    deliveredTo: 1,
    duplicate,
  }
}

const ignore = (): void => undefined
const of = (publisher: number, number: number) => ({ publisher, number })

/** Two publishers whose messages took turns. */
function ledger(): Ledger {
  const made = new Ledger(ignore)
  for (const position of [0, 1, 2, 3]) made.acknowledged(of(position % 2, position >> 1), receipt(position))
  return made
}

describe('what the kill rounds check', () => {
  it('takes a log that is what was acknowledged', () => {
    expect(() => ledger().verify([of(0, 0), of(1, 0), of(0, 1), of(1, 1)])).not.toThrow()
  })

  it.each([
    ['lacks the last message', [of(0, 0), of(1, 0), of(0, 1)], '4 messages were acknowledged, the log has 3'],
    ['lacks one in between', [of(0, 0), of(0, 1), of(1, 0), of(1, 1)], '0-1 at 1, its receipt says 2'],
    ['has one twice', [of(0, 0), of(1, 0), of(1, 0), of(0, 1)], '1-0 at 2, where number 1 was due'],
    ['has two of a publisher in the wrong order', [of(0, 1), of(1, 0), of(0, 0), of(1, 1)], '0-1 at 0, where number 0'],
    ['has more', [of(0, 0), of(1, 0), of(0, 1), of(1, 1), of(2, 0)], '2-0 at 4, its receipt says undefined'],
  ])('finds a log that %s', (_what, log, message) => {
    expect(() => ledger().verify(log)).toThrow(message)
  })

  it('finds receipts that contradict each other', () => {
    const made = ledger()
    made.acknowledged(of(0, 0), receipt(0, true))
    expect(made.duplicates).toBe(1)
    expect(() => made.acknowledged(of(0, 0), receipt(4))).toThrow('published again at 4 with duplicate false')
    expect(() => made.acknowledged(of(0, 0), receipt(4, true))).toThrow('published again at 4 with duplicate true')
    expect(() => made.acknowledged(of(0, 0), receipt(0))).toThrow('duplicate false')
    expect(() => made.acknowledged(of(0, 3), receipt(5))).toThrow('before number 2')
    expect(() => made.acknowledged(of(0, 2), receipt(null))).toThrow('has no position')
  })

  it('finds a message that a subscriber never saw, and one that nobody stored', () => {
    const effects = new Effects()
    expect([effects.apply(of(0, 0)), effects.apply(of(0, 0)), effects.apply(of(0, 1))]).toEqual([true, false, true])
    expect(() => effects.verify('billing', [of(0, 0), of(0, 1)])).not.toThrow()
    expect(() => effects.verify('billing', [of(0, 0), of(0, 1), of(1, 0)])).toThrow('billing never saw 1-0')
    expect(() => effects.verify('billing', [of(0, 0)])).toThrow('billing saw 2 messages, the log has 1')
  })

  it('finds a message that was changed', () => {
    const payload = payloadOf(of(3, 128))
    expect(identityOf(payload)).toEqual(of(3, 128))
    payload[payload.length - 1] ^= 1
    expect(() => identityOf(payload)).toThrow('Message 3-128 was changed')
    expect(() => identityOf(payloadOf(of(3, 5)).subarray(0, 3))).toThrow("is nobody's")
  })
})
