import { describe, expect, it } from 'vitest'
import { bytesOf, firstMessages, type LoggedRun } from '../../ts/channel/log-reading.ts'
import { NO_SCHEMA } from '../../ts/protocol/index.ts'
import { payloadsOf, scannedRun } from './runs.ts'

const ANY = Number.MAX_SAFE_INTEGER

/** Runs whose messages follow each other, and have payloads of 100 bytes that begin with their positions. */
function runsOf(...counts: number[]): LoggedRun[] {
  let next = 0
  return counts.map((count) => {
    const first = next
    next += count
    const payloads = Array.from({ length: count }, (_, index) => `${first + index}`.padEnd(100))
    return { run: scannedRun(payloads), first: BigInt(first), schemaId: NO_SCHEMA }
  })
}

/** Where each of the first messages within limits is. */
function firstOf(runs: readonly LoggedRun[], maxMessages: number, maxBytes: number): number[][] {
  return firstMessages(runs, { maxMessages, maxBytes }).map(({ run, first }) => {
    const positions = payloadsOf(run).map(Number)
    expect(positions[0]).toBe(Number(first))
    return positions
  })
}

describe('the first messages of runs', () => {
  it('are all of them where there is no limit', () => {
    expect(firstOf(runsOf(2, 3), ANY, ANY)).toEqual([
      [0, 1],
      [2, 3, 4],
    ])
  })

  it('are as many as are wanted', () => {
    expect(firstOf(runsOf(2, 3), 3, ANY)).toEqual([[0, 1], [2]])
    expect(firstOf(runsOf(2, 3), 2, ANY)).toEqual([[0, 1]])
    expect(firstOf(runsOf(2), 0, ANY)).toEqual([])
  })

  it('are as many as the bytes allow, in one run and over several', () => {
    const runs = runsOf(2, 7)
    const [two, seven] = runs.map(({ run }) => bytesOf(run))
    expect(firstOf(runs, ANY, two + seven)).toEqual([
      [0, 1],
      [2, 3, 4, 5, 6, 7, 8],
    ])
    expect(firstOf(runs, ANY, two + seven - 1)).toEqual([
      [0, 1],
      [2, 3, 4, 5, 6, 7],
    ])
    expect(firstOf(runs, 5, two + seven - 1)).toEqual([
      [0, 1],
      [2, 3, 4],
    ])
    expect(firstOf(runs, ANY, two + 1)).toEqual([[0, 1]])
    expect(firstOf(runs, ANY, two - 1)).toEqual([[0]])
  })

  it('are one at least, whatever its size', () => {
    expect(firstOf(runsOf(2, 3), ANY, 1)).toEqual([[0]])
    expect(firstOf([], ANY, 1)).toEqual([])
  })
})
