import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { checkWait, MAX_TIMEOUT_MS, throwIfAborted, waitFor } from '../../ts/waiting.ts'

const never = new Promise<void>(() => {})

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('waiting', () => {
  it('gives what the promise gives, and leaves no timer and no listener', async () => {
    const { signal } = new AbortController()
    const remove = vi.spyOn(signal, 'removeEventListener')
    expect(await waitFor(Promise.resolve(7), { timeoutMs: 100, signal, what: 'It' })).toBe(7)
    const error = new Error('no')
    await expect(waitFor(Promise.reject(error), { timeoutMs: 100, signal, what: 'It' })).rejects.toBe(error)
    expect(vi.getTimerCount()).toBe(0)
    expect(remove).toHaveBeenCalledTimes(2)
  })

  it('ends in time', async () => {
    const waiting = waitFor(never, { timeoutMs: 100, what: 'The tea' })
    const outcome = expect(waiting).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringMatching(/^The tea.*100 ms/),
    })
    await vi.advanceTimersByTimeAsync(100)
    await outcome
  })

  it('ends by its signal, now or before', async () => {
    const controller = new AbortController()
    const waiting = waitFor(never, { timeoutMs: 100, signal: controller.signal, what: 'The tea' })
    const outcome = expect(waiting).rejects.toMatchObject({ code: 'ABORTED', cause: 'cold' })
    controller.abort('cold')
    await outcome
    expect(vi.getTimerCount()).toBe(0)
    const again = waitFor(never, { timeoutMs: 100, signal: controller.signal, what: 'The tea' })
    await expect(again).rejects.toMatchObject({ code: 'ABORTED', cause: 'cold' })
    expect(vi.getTimerCount()).toBe(0)
    expect(() => throwIfAborted(controller.signal, 'It')).toThrow(expect.objectContaining({ code: 'ABORTED' }))
  })

  it('takes the promise that lost quietly', async () => {
    vi.useRealTimers()
    let reject: (error: Error) => void = () => {}
    const late = new Promise<void>((_resolve, onReject) => {
      reject = onReject
    })
    await expect(waitFor(late, { timeoutMs: 0, what: 'It' })).rejects.toMatchObject({ code: 'TIMEOUT' })
    // An unhandled rejection would fail the whole run.
    reject(new Error('too late'))
    await new Promise((resolve) => setImmediate(resolve))
  })

  it('checks its limits', () => {
    for (const timeoutMs of [-1, Number.NaN, Number.POSITIVE_INFINITY, MAX_TIMEOUT_MS + 1]) {
      expect(() => checkWait({ timeoutMs })).toThrow(/timeoutMs/)
    }
    for (const timeoutMs of [0, 0.5, MAX_TIMEOUT_MS, undefined]) checkWait({ timeoutMs })
  })
})
