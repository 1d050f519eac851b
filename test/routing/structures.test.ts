import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Breaker } from '../../ts/routing/breaker.ts'
import { Link, LinkedList } from '../../ts/routing/linked-list.ts'
import { type Loaded, ReadySet } from '../../ts/routing/ready-set.ts'
import { textBits, weight } from '../../ts/routing/rendezvous.ts'
import { sourceHash } from '../../ts/routing/source-hash.ts'

interface Member extends Loaded {
  readonly name: number
  inFlight: number
  readonly capacity: number
}

describe('the consumers with room', () => {
  it('are found by turn and by load as a plain search finds them, through any changes', () => {
    const step = fc.record({
      change: fc.constantFrom('add', 'remove', 'chosen', 'load'),
      at: fc.nat({ max: 7 }),
      load: fc.nat({ max: 5 }),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.array(fc.nat({ max: 7 }), { maxLength: 3 }), (steps, out) => {
        const members: Member[] = Array.from({ length: 8 }, (_, name) => ({
          name,
          inFlight: 0,
          capacity: 1 + (name % 3),
        }))
        const set = new ReadySet<Member>()
        let turns: Member[] = []
        const excluded = new Set(out.map((name) => members[name]))
        for (const { change, at, load } of steps) {
          const member = members[at]
          const isIn = turns.includes(member)
          if (change === 'add') {
            set.add(member)
            if (!isIn) turns.push(member)
          } else if (change === 'remove') {
            set.remove(member)
            turns = turns.filter((one) => one !== member)
          } else if (isIn) {
            member.inFlight = load
            if (change === 'chosen') turns = [...turns.filter((one) => one !== member), member]
            set[change === 'chosen' ? 'chosen' : 'changed'](member)
          }
          for (const leftOut of [null, excluded]) {
            const left = turns.filter((one) => !leftOut?.has(one))
            const least = left.reduce<Member | null>(
              (best, one) =>
                best === null || one.inFlight / one.capacity < best.inFlight / best.capacity ? one : best,
              null,
            )
            expect(set.next(leftOut)).toBe(left[0] ?? null)
            expect(set.leastLoaded(leftOut)).toBe(least)
          }
          expect(set.size).toBe(turns.length)
        }
      }),
    )
  })
})

describe('a linked list', () => {
  it('gives out in order, and gives up any link', () => {
    const list = new LinkedList<number>()
    const links = [1, 2, 3, 4].map((value) => new Link(value))
    for (const link of links) list.append(link)
    list.remove(links[1])
    list.remove(links[1])
    list.remove(links[3])
    expect(list.size).toBe(2)
    list.append(links[1])
    expect([list.shift(), list.shift(), list.shift(), list.shift()]).toEqual([1, 3, 2, undefined])
  })
})

describe('rendezvous hashing', () => {
  it('spreads keys evenly, also over ids that differ in little', () => {
    const ids = Array.from({ length: 8 }, (_, index) => textBits(`worker-${index}`))
    const counts = ids.map(() => 0)
    for (let key = 0; key < 8_000; key++) {
      const weights = ids.map((bits) => weight(textBits(`key-${key}`), bits))
      counts[weights.indexOf(Math.max(...weights))]++
    }
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(150)
  })
})

describe('a source hash', () => {
  it('is the SHA-256 of the text', () => {
    expect(sourceHash('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  })
})

describe('a breaker', () => {
  it('opens after failures within its window, tries once after the cool-down, and closes on success', () => {
    let now = 0
    const breaker = new Breaker({ failures: 3, windowMs: 100, cooldownMs: 50 }, () => now)
    breaker.failed()
    breaker.failed()
    now = 150
    breaker.failed()
    expect(breaker.state).toBe('closed')
    breaker.failed()
    breaker.failed()
    expect([breaker.state, breaker.waitMs]).toEqual(['open', 50])
    now = 199
    breaker.probe()
    breaker.succeeded()
    expect(breaker.state).toBe('open')
    now = 200
    breaker.probe()
    expect(breaker.state).toBe('probing')
    breaker.failed()
    expect([breaker.state, breaker.waitMs]).toEqual(['open', 50])
    now = 250
    breaker.probe()
    breaker.succeeded()
    expect(breaker.state).toBe('closed')
    breaker.failed()
    breaker.failed()
    expect(breaker.state).toBe('closed')
  })
})
