import { describe, expect, it } from 'vitest'
import { ServerStreams } from '../../ts/server/server-streams.ts'

describe('the streams of the server', () => {
  it('are even, and not used again soon', () => {
    const streams = new ServerStreams()
    expect([streams.open(), streams.open()]).toEqual([2, 4])
    streams.close(2)
    expect(streams.open()).toBe(6)
    expect(streams.size).toBe(2)
  })

  it('begin again at the end of the ids, and pass over those that are open', () => {
    const streams = new ServerStreams(0xffff_fffc)
    expect([streams.open(), streams.open(), streams.open()]).toEqual([0xffff_fffc, 0xffff_fffe, 2])
    const busy = new ServerStreams(2)
    const first = busy.open()
    for (let opened = 1; opened < 5; opened++) busy.close(busy.open())
    expect(first).toBe(2)
    expect(busy.size).toBe(1)
  })
})
