import { describe, expect, it } from 'vitest'
import { ChannelRegistry, MessageIds } from '../../ts/channel/index.ts'
import { type ErrorCode, LiminalError } from '../../ts/errors.ts'
import { RecordingObserver, RecordingSink, scannedRun } from './runs.ts'

function codeOf(call: () => unknown): ErrorCode | null {
  try {
    call()
    return null
  } catch (error) {
    if (error instanceof LiminalError) return error.code
    throw error
  }
}

describe('the channel registry', () => {
  it('creates a channel on first use, once, where that is allowed', () => {
    const registry = new ChannelRegistry({ create: true })
    expect(registry.get('a')).toBe(registry.get('a'))
    expect(codeOf(() => new ChannelRegistry({ create: false }).get('a'))).toBe('CHANNEL_NOT_FOUND')
  })

  it('finds a channel by the number of its name', () => {
    const registry = new ChannelRegistry({ create: true })
    const [a, b] = [registry.get('a'), registry.get('b')]
    expect([registry.byId(a.id), registry.byId(b.id), registry.byId(-1), registry.byId(99)]).toEqual([
      a,
      b,
      undefined,
      undefined,
    ])
    expect(registry.names.name(b.id)).toBe('b')
  })

  it('declares a channel once', () => {
    const registry = new ChannelRegistry({ create: true })
    const declared = registry.declare({ name: 'a', schema: { type: 'object' } })
    expect(registry.get('a')).toBe(declared)
    expect(codeOf(() => registry.declare({ name: 'a' }))).toBe('CHANNEL_EXISTS')
  })

  it('changes nothing for a schema that cannot be used', () => {
    const registry = new ChannelRegistry({ create: false })
    expect(codeOf(() => registry.declare({ name: 'a', schema: { type: 'nonsense' } }))).toBe('SCHEMA_INVALID')
    expect(registry.list()).toEqual([])
    expect(registry.names.size).toBe(0)
    registry.declare({ name: 'a' })
  })

  it.each([
    ['nothing', ''],
    ['a line feed', 'a\nb'],
    ['NUL', 'a\0'],
    ['DEL', 'a\u007f'],
    ['a C1 control', 'a\u0085'],
    ['a lone surrogate', 'a\ud800'],
    ['256 bytes', 'x'.repeat(256)],
    ['256 bytes in 128 characters', 'é'.repeat(128)],
  ])('refuses a name with %s', (_what, name) => {
    const registry = new ChannelRegistry({ create: true })
    expect(codeOf(() => registry.get(name))).toBe('INVALID_ARGUMENT')
    expect(codeOf(() => registry.declare({ name }))).toBe('INVALID_ARGUMENT')
    expect(registry.names.size).toBe(0)
  })

  it('takes any other name of up to 255 bytes', () => {
    const registry = new ChannelRegistry({ create: true })
    for (const name of ['a', 'orders.eu/2 #1', '注文', '🎉', 'x'.repeat(255), '__proto__']) {
      expect(registry.get(name).name).toBe(name)
    }
  })

  it('creates no more channels than allowed', () => {
    const registry = new ChannelRegistry({ create: true, maxChannels: 2 })
    registry.get('a')
    registry.get('b')
    expect(codeOf(() => registry.get('c'))).toBe('LIMIT_EXCEEDED')
    expect(registry.get('a').name).toBe('a')
    registry.close('a')
    expect(registry.get('a').closed).toBe(false)
  })

  it('lists channels by name', () => {
    const registry = new ChannelRegistry({ create: true })
    for (const name of ['b', 'c', 'a']) registry.get(name)
    expect(registry.list().map((channel) => channel.name)).toEqual(['a', 'b', 'c'])
  })

  it('closes a channel, whose name and number can be used again', () => {
    const registry = new ChannelRegistry({ create: true })
    const old = registry.get('a')
    const sink = new RecordingSink()
    old.subscribe(sink)
    expect(registry.close('a')).toBe(true)
    expect(registry.close('a')).toBe(false)
    expect(registry.byId(old.id)).toBeUndefined()
    expect(sink.ends.map((error) => error.code)).toEqual(['CHANNEL_CLOSED'])
    const renewed = registry.get('a')
    expect(renewed).not.toBe(old)
    expect(registry.byId(old.id)).toBe(renewed)
    expect(renewed.subscriberCount).toBe(0)
  })

  it('gives subscriptions ids that are unique in the bus, from 1', () => {
    const registry = new ChannelRegistry({ create: true })
    const ids = ['a', 'b', 'a'].map((name) => registry.get(name).subscribe(new RecordingSink()).id)
    expect(ids).toEqual([1n, 2n, 3n])
  })

  it('closes all with the error of the bus', () => {
    const registry = new ChannelRegistry({ create: true })
    const sinks = ['a', 'b'].map((name) => {
      const sink = new RecordingSink()
      registry.get(name).subscribe(sink)
      return sink
    })
    const error = new LiminalError('CLOSED', 'over')
    registry.closeAll(error)
    expect(sinks.map((sink) => sink.ends)).toEqual([[error], [error]])
    expect(registry.list()).toEqual([])
  })
})

describe('message ids', () => {
  it('rise across restarts, in order of their start', () => {
    const before = new MessageIds(1_000)
    const last = before.take(1_000_000) + 999_999n
    expect(new MessageIds(1_001).take(1)).toBeGreaterThan(last)
  })

  it('fit a u64 for as long as anybody cares', () => {
    expect(new MessageIds(Date.UTC(2500, 0, 1)).take(1)).toBeLessThan(2n ** 64n)
  })

  it('come from where the registry is told', () => {
    const registry = new ChannelRegistry({ create: true, messageIds: new MessageIds(1) })
    const observer = new RecordingObserver()
    registry.get('a').publishRun(scannedRun(['x', 'y']), observer)
    registry.get('b').publishRun(scannedRun(['z']), observer)
    expect(observer.ids).toEqual([1n << 20n, (1n << 20n) + 2n])
  })
})
