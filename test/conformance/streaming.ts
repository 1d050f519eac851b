import { expect, it } from 'vitest'
import type { Setup } from './suite.ts'
import { deferred, failure, numbers } from './tools.ts'

/** Replies in parts. */
export function streamingTests(setup: Setup): void {
  async function collect<Part>(parts: AsyncIterable<Part>): Promise<Part[]> {
    const all: Part[] = []
    for await (const part of parts) all.push(part)
    return all
  }

  it('gives the parts in order, and the end', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    await one
      .respond<number>('count', async function* (to) {
        for (let number = 0; number < to; number++) yield number
      })
      .ready()
    expect(await collect(asker.stream('count', 1_000))).toEqual(numbers(1_000))
    expect(await collect(asker.stream('count', 0))).toEqual([])
  })

  it('takes what a generator returns for the last part, and a plain reply for the only one', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    await one
      .respond('last', async function* () {
        yield 'a'
        return 'z'
      })
      .ready()
    await one.respond('plain', (value) => value).ready()
    expect(await collect(asker.stream('last', null))).toEqual(['a', 'z'])
    expect(await collect(asker.stream('plain', { only: 'one' }))).toEqual([{ only: 'one' }])
  })

  it('carries bytes', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const responder = one.respond<Uint8Array>(
      'bytes',
      async function* (bytes) {
        for (const byte of bytes) yield Uint8Array.of(byte)
      },
      { payload: 'bytes' },
    )
    await responder.ready()
    const parts = await collect(asker.stream<Uint8Array>('bytes', Uint8Array.of(7, 8, 255), { payload: 'bytes' }))
    expect(parts.map((part) => [...part])).toEqual([[7], [8], [255]])
    // What is asked is what it was when stream() was called, whenever the loop begins.
    const mine = Uint8Array.of(1, 2)
    const later = asker.stream<Uint8Array>('bytes', mine, { payload: 'bytes' })
    mine.fill(9)
    expect((await collect(later)).map((part) => [...part])).toEqual([[1], [2]])
  })

  it('does not let the responder run ahead of a loop that is slow', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    let made = 0
    const full = deferred()
    await one
      .respond('endless', async function* () {
        for (;;) {
          if (++made === 64) full.resolve()
          yield made
        }
      })
      .ready()
    const iterator = asker.stream<number>('endless', null)[Symbol.asyncIterator]()
    expect((await iterator.next()).value).toBe(1)
    await full.promise
    await backing.settled()
    // The window, and the one that waits for it.
    expect(made).toBeLessThanOrEqual(66)
    for (const number of numbers(200)) expect((await iterator.next()).value).toBe(number + 2)
    expect(made).toBeLessThanOrEqual(201 + 66)
    await iterator.return?.()
  })

  it('carries parts that are large together, however slow the loop is', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const bytes = 1024 * 1024
    let made = 0
    await one
      .respond(
        'large',
        async function* () {
          for (const number of numbers(100)) {
            made++
            yield new Uint8Array(bytes).fill(number)
          }
        },
        { payload: 'bytes' },
      )
      .ready()
    let taken = 0
    for await (const part of asker.stream<Uint8Array>('large', Uint8Array.of(1), { payload: 'bytes' })) {
      expect([part.length, part[0], part[bytes - 1]]).toEqual([bytes, taken, taken])
      taken++
      if (taken % 25 === 0) await backing.settled()
      // The one that is ahead, and the one that waits for its place.
      expect(made - taken).toBeLessThanOrEqual(2)
    }
    expect(taken).toBe(100)
  })

  it('fails at once where the responder of many streams crashes', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const begun = deferred()
    let count = 0
    const responder = one.respond('stuck', async function* () {
      yield 1
      if (++count === 20) begun.resolve()
      await new Promise(() => {})
    })
    await responder.ready()
    const failed = numbers(20).map((number) =>
      failure(() => collect(asker.stream('stuck', number)), 'PARTICIPANT_GONE'),
    )
    await begun.promise
    backing.crash(one, responder)
    await Promise.all(failed)
    expect(backing.conversations()).toBe(0)
  })

  it('stops the responder when the loop is left', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const stopped = deferred()
    await one
      .respond('endless', async function* () {
        try {
          for (let number = 0; ; number++) yield number
        } finally {
          stopped.resolve()
        }
      })
      .ready()
    for await (const number of asker.stream<number>('endless', null)) if (number === 5) break
    await stopped.promise
  })

  it('fails the loop with what the responder throws, after the parts before it', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    await one
      .respond('broken', async function* () {
        yield 1
        yield 2
        throw new Error('out of numbers')
      })
      .ready()
    const got: number[] = []
    const error = await failure(async () => {
      for await (const number of asker.stream<number>('broken', null)) got.push(number)
    }, 'RESPONDER_FAILED')
    expect(got).toEqual([1, 2])
    expect(error.message).toContain('out of numbers')
  })

  it('fails at once where nobody answers, and says so where one reply was asked for', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    await failure(() => collect(asker.stream('nobody', null)), 'NO_RESPONDER')
    const stopped = deferred()
    await one
      .respond('parts', async function* () {
        try {
          yield 1
          yield 2
        } finally {
          stopped.resolve()
        }
      })
      .ready()
    const error = await failure(() => asker.ask('parts', null), 'RESPONDER_FAILED')
    expect(error.message).toContain('stream()')
    await stopped.promise
    await one.respond('none', async function* () {}).ready()
    await failure(() => asker.ask('none', null), 'RESPONDER_FAILED')
  })

  it('ends with its signal, and when the next part takes too long', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    const aborts: unknown[] = []
    const both = deferred()
    await one
      .respond('stuck', async function* (_, { signal }) {
        signal.addEventListener('abort', () => {
          if (aborts.push(signal.reason) === 2) both.resolve()
        })
        yield 1
        await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      })
      .ready()
    const leaving = new AbortController()
    await failure(async () => {
      for await (const _ of asker.stream('stuck', null, { signal: leaving.signal })) leaving.abort()
    }, 'ABORTED')
    await failure(() => collect(asker.stream('stuck', null, { timeoutMs: 30 })), 'TIMEOUT')
    await both.promise
  })

  it('fails the stream when its responder crashes after the first part, and re-routes it before', async () => {
    const backing = await setup()
    const [asker, one, two] = [await backing.bus(), await backing.bus(), await backing.bus()]
    const begun = deferred()
    const first = one.respond<string>('parts', async function* (when) {
      if (when === 'after') yield 'from the first'
      begun.resolve()
      await new Promise(() => {})
    })
    await first.ready()
    const after = asker.stream<string>('parts', 'after', { onCrash: 'route-to-next' })[Symbol.asyncIterator]()
    expect((await after.next()).value).toBe('from the first')
    const before = collect(asker.stream<string>('parts', 'before', { onCrash: 'route-to-next' }))
    await begun.promise
    await backing.settled()
    await two
      .respond<string>('parts', async function* () {
        yield 'from the second'
      })
      .ready()
    backing.crash(one, first)
    await failure(() => after.next(), 'PARTICIPANT_GONE')
    expect(await before).toEqual(['from the second'])
  })

  it('streams within a conversation, beside other requests', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    await one
      .respond<number>('both', (to) => {
        if (to < 0) return 'plain'
        return (async function* () {
          for (let number = 0; number < to; number++) yield number
        })()
      })
      .ready()
    await using conversation = await asker.converse('both')
    const [parts, plain] = await Promise.all([collect(conversation.stream(100)), conversation.request(-1)])
    expect(parts).toEqual(numbers(100))
    expect(plain).toBe('plain')
    for await (const number of conversation.stream<number>(1_000)) if (number === 3) break
    expect(await conversation.request(-1)).toBe('plain')
  })

  it('refuses a second loop: the parts come once', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    await bus.respond('plain', (value) => value).ready()
    const parts = bus.stream('plain', 1)
    expect(await collect(parts)).toEqual([1])
    await failure(() => collect(parts), 'INVALID_ARGUMENT')
  })

  it('leaves nothing behind after a thousand of them', async () => {
    const backing = await setup()
    const [asker, one] = [await backing.bus(), await backing.bus()]
    await one
      .respond<number>('few', async function* (to) {
        for (let number = 0; number < to; number++) yield number
      })
      .ready()
    for (const _ of numbers(20)) {
      const all = await Promise.all(numbers(50).map((number) => collect(asker.stream('few', number % 5))))
      expect(all.map(({ length }) => length)).toEqual(numbers(50).map((number) => number % 5))
    }
    await backing.settled()
    expect(backing.conversations()).toBe(0)
  })
}
