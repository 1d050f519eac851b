import { describe, expect, it } from 'vitest'
import { Window } from '../../ts/cli/window.ts'

describe('a window', () => {
  it('is full at its number of messages', () => {
    const window = new Window(2)
    window.enter()
    expect(window.full).toBe(false)
    window.enter()
    expect(window.full).toBe(true)
    window.leave()
    expect(window.full).toBe(false)
  })

  it('is full at its number of bytes, but takes one large message', () => {
    const window = new Window(10, 100)
    expect(window.full).toBe(false)
    window.enter(500)
    expect(window.full).toBe(true)
    window.leave(500)
    window.enter(99)
    expect(window.full).toBe(false)
  })

  it('tells who waits for room when one leaves, and who waits for emptiness when all left', async () => {
    const window = new Window(2)
    window.enter()
    window.enter()
    const events: string[] = []
    const room = window.room().then(() => events.push('room'))
    const empty = window.empty().then(() => events.push('empty'))
    window.leave()
    await room
    expect(events).toEqual(['room'])
    window.leave()
    await empty
    expect(events).toEqual(['room', 'empty'])
  })

  it('does not wait where there is nothing to wait for', async () => {
    const window = new Window(1)
    await window.room()
    await window.empty()
    expect(window.messages).toBe(0)
  })
})
