import { describe, expect, it } from 'vitest'
import { ServerStreams } from '../../ts/server/server-streams.ts'

describe('the streams of the server', () => {
  it('are even, and not used again soon', () => {
    const open = new Set<number>()
    const streams = new ServerStreams((streamId) => open.has(streamId))
    expect([streams.take(), streams.take()]).toEqual([2, 4])
    // 2 is not open, and it is not its turn.
    expect(streams.take()).toBe(6)
  })

  it('begin again at the end of the ids, and pass over those that are open', () => {
    const open = new Set([2, 4, 8])
    const streams = new ServerStreams((streamId) => open.has(streamId), 0xffff_fffc)
    expect([streams.take(), streams.take()]).toEqual([0xffff_fffc, 0xffff_fffe])
    expect([streams.take(), streams.take()]).toEqual([6, 10])
  })
})
