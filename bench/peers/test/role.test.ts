import { describe, expect, it } from 'vitest'
import { Correlation } from '../source/clients/correlation.ts'
import { latencyOf, summarize } from '../source/measure/statistics.ts'
import { Window } from '../source/roles/window.ts'

describe('the end-to-end window', () => {
  it('has room for its size beyond what all subscribers have', () => {
    const window = new Window(10)
    expect(window.room(0)).toBe(10)
    expect(window.room(10)).toBe(0)
    window.reported(4)
    expect(window.room(10)).toBe(4)
    window.reported(2)
    expect(window.room(10)).toBe(4)
  })

  it('opens with the next report', async () => {
    const window = new Window(1)
    const opened = window.opened()
    window.reported(1)
    await expect(opened).resolves.toBeUndefined()
  })
})

describe('correlation', () => {
  it('hands replies to their own requests in any order', () => {
    const correlation = new Correlation()
    const replies: string[] = []
    const ask = (text: string) =>
      correlation.request(Buffer.from(text), (bytes, offset, length) => {
        replies.push(`${text}: ${Buffer.from(bytes.subarray(offset, offset + length))}`)
      })
    const messages = [ask('one'), ask('two')]
    for (const message of messages.reverse()) correlation.reply(message, 0, message.length)
    expect(replies).toEqual(['two: two', 'one: one'])
  })

  it('refuses a reply that nobody waits for, such as a second one', () => {
    const correlation = new Correlation()
    const message = correlation.request(Buffer.from('one'), () => undefined)
    correlation.reply(message, 0, message.length)
    expect(() => correlation.reply(message, 0, message.length)).toThrow('nobody waits for')
  })
})

describe('statistics', () => {
  it('gives the middle of an even number of runs as the mean of the two in the middle', () => {
    expect(summarize([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4 })
    expect(summarize([9])).toEqual({ median: 9, min: 9, max: 9 })
    expect(() => summarize([])).toThrow('nothing')
  })

  it('gives quantiles in microseconds', () => {
    const times = Array.from({ length: 1_000 }, (_, index) => (1_000 - index) / 1_000)
    expect(latencyOf(times)).toEqual({ p50: 500, p99: 990, p999: 999 })
    expect(latencyOf([])).toBeNull()
  })
})
