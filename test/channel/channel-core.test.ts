import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type ChannelCore,
  ChannelRegistry,
  type MessageRun,
  oneMessageRun,
  PUBLISH_REFUSED,
  rowOffset,
  SINK_FAILED,
} from '../../ts/channel/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { Column } from '../../ts/protocol/index.ts'
import { deliversOf, RecordingObserver, RecordingSink, scannedRun } from './runs.ts'

let registry: ChannelRegistry
let channel: ChannelCore
let observer: RecordingObserver
const closed = new LiminalError('CLOSED', 'The test is over.')

beforeEach(() => {
  registry = new ChannelRegistry({ create: true })
  channel = registry.get('orders')
  observer = new RecordingObserver()
})

afterEach(() => registry.closeAll(closed))

function publish(payload: string, key: string | null = null): void {
  channel.publishRun(oneMessageRun(Buffer.from(payload), null, key), observer)
}

function subscribe(): RecordingSink {
  const sink = new RecordingSink()
  channel.subscribe(sink)
  return sink
}

/** Bytes of the only envelope of a run. */
function deliveredBytes({ columns, first }: MessageRun): number {
  const row = rowOffset(first)
  return columns[row + Column.PAYLOAD] + columns[row + Column.PAYLOAD_LENGTH] - columns[row + Column.ENVELOPE]
}

describe('publishing a run', () => {
  it('hands it over as one, and says so once', () => {
    const sinks = [subscribe(), subscribe()]
    channel.publishRun(scannedRun(['a', 'b', 'c']), observer)
    expect(observer.heard).toEqual(['accepted 3 to 2'])
    for (const sink of sinks) {
      expect(sink.payloads).toEqual(['a', 'b', 'c'])
      expect(sink.runs).toEqual([3])
    }
  })

  it('works without any subscriber', () => {
    channel.publishRun(scannedRun(['a', 'b']), observer)
    expect(observer.heard).toEqual(['accepted 2 to 0'])
  })

  it('gives consecutive ids to the messages of a run, and rising ones to runs, across channels', () => {
    channel.publishRun(scannedRun(['a', 'b', 'c']), observer)
    registry.get('others').publishRun(scannedRun(['d']), observer)
    publish('e')
    expect(observer.ids[1] - observer.ids[0]).toBe(3n)
    expect(observer.ids[2] - observer.ids[1]).toBe(1n)
  })

  it.each([
    ['without a schema', undefined, undefined],
    ['with keys', undefined, ['1', '2', '3', '4']],
    ['with a schema', { type: 'string' }, undefined],
  ])('refuses what is too large, before anything changes, and nothing else (%s)', (_what, schema, keys) => {
    const most = deliveredBytes(scannedRun(['"fits"']))
    const limited = new ChannelRegistry({ create: true, maxMessageBytes: most })
    channel = limited.declare({ name: 'orders', schema })
    const sink = subscribe()
    channel.publishRun(scannedRun(['"a"', '"fits"', '"large"', '"b"'], keys), observer)
    expect(sink.payloads).toEqual(['"a"', '"fits"', '"b"'])
    expect(observer.heard.filter((heard) => heard.startsWith('refused'))).toEqual(['refused PAYLOAD_TOO_LARGE'])
    // Its key is free, and its id is nobody's.
    publish('"c"', keys?.[2] ?? null)
    expect(observer.heard.at(-1)).toBe('accepted 1 to 1')
    expect((observer.ids.at(-1) ?? 0n) - observer.ids[0]).toBe(3n)
    limited.closeAll(closed)
  })

  it('counts the defaults that it fills in', () => {
    const schema = { type: 'object', properties: { note: { default: 'x'.repeat(100) } } }
    const limited = new ChannelRegistry({ create: true, maxMessageBytes: 150 })
    channel = limited.declare({ name: 'orders', schema })
    const sink = subscribe()
    publish('{"note":"short","more":"abc"}')
    publish('{"more":"abc"}')
    expect(observer.heard).toEqual(['accepted 1 to 1', 'refused PAYLOAD_TOO_LARGE'])
    expect(sink.payloads).toHaveLength(1)
    limited.closeAll(closed)
  })

  it('keeps subscription order', () => {
    const order: string[] = []
    for (const name of ['first', 'second', 'third']) {
      subscribe().onDeliver = () => {
        order.push(name)
        return true
      }
    }
    publish('a')
    expect(order).toEqual(['first', 'second', 'third'])
  })

  it('delivers opaque bytes with the zero schema id where no schema is declared', () => {
    expect([...channel.schemaId]).toEqual(new Array(32).fill(0))
    const sink = subscribe()
    publish('not { json')
    expect(sink.payloads).toEqual(['not { json'])
  })

  it('is refused, message by message, once the channel is closed', () => {
    const sink = subscribe()
    registry.close('orders')
    channel.publishRun(scannedRun(['a', 'b']), observer)
    expect(observer.heard).toEqual(['refused CHANNEL_CLOSED', 'refused CHANNEL_CLOSED'])
    expect(sink.payloads).toEqual([])
    expect(sink.ends.map((error) => error.code)).toEqual(['CHANNEL_CLOSED'])
    expect(() => channel.subscribe(sink)).toThrow(/closed/)
  })
})

describe('fan-out', () => {
  it('goes on past a sink that throws, and removes that one', () => {
    const failures: unknown[] = []
    const listener = (message: unknown): void => {
      failures.push(message)
    }
    diagnosticsChannel(SINK_FAILED).subscribe(listener)
    const [before, broken, after] = [subscribe(), subscribe(), subscribe()]
    const thrown = new Error('a bug')
    broken.onDeliver = () => {
      throw thrown
    }
    publish('a')
    publish('b')
    diagnosticsChannel(SINK_FAILED).unsubscribe(listener)

    expect(observer.heard).toEqual(['accepted 1 to 2', 'accepted 1 to 2'])
    expect([before.payloads, after.payloads]).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ])
    expect(broken.ends).toHaveLength(1)
    expect(broken.ends[0]).toMatchObject({ code: 'INTERNAL', cause: thrown })
    expect(failures).toMatchObject([{ channel: 'orders', error: thrown }])
    expect(channel.subscriberCount).toBe(2)
  })

  it('removes a sink that does not take a run, and does not count it', () => {
    const [shed, other] = [subscribe(), subscribe()]
    let asked = 0
    shed.onDeliver = () => {
      asked++
      return false
    }
    publish('a')
    publish('b')
    expect(asked).toBe(1)
    expect(observer.heard).toEqual(['accepted 1 to 1', 'accepted 1 to 1'])
    expect(other.payloads).toEqual(['a', 'b'])
    expect(channel.subscriberCount).toBe(1)
  })

  it('delivers no more to a sink that leaves while it runs', () => {
    const first = new RecordingSink()
    const second = new RecordingSink()
    channel.subscribe(first)
    const leaving = channel.subscribe(second)
    first.onDeliver = () => {
      leaving.unsubscribe()
      leaving.unsubscribe()
      return true
    }
    publish('a')
    expect(second.payloads).toEqual([])
    expect(observer.heard).toEqual(['accepted 1 to 1'])
    expect(channel.subscriberCount).toBe(1)
  })

  it('lets a sink leave in its own delivery without skipping the next', () => {
    const self = new RecordingSink()
    const own = channel.subscribe(self)
    const next = subscribe()
    self.onDeliver = () => {
      own.unsubscribe()
      return true
    }
    publish('a')
    publish('b')
    expect(self.payloads).toEqual(['a'])
    expect(next.payloads).toEqual(['a', 'b'])
  })

  it('gives a sink that joins while it runs only what comes after', () => {
    const late = new RecordingSink()
    let joined = false
    subscribe().onDeliver = () => {
      if (!joined) channel.subscribe(late)
      joined = true
      return true
    }
    publish('a')
    publish('b')
    expect(late.payloads).toEqual(['b'])
  })

  it('keeps order and count through many joins and leaves', () => {
    const sinks = Array.from({ length: 100 }, () => new RecordingSink())
    const places = sinks.map((sink) => channel.subscribe(sink))
    places.forEach((place, index) => {
      if (index % 3 !== 0) place.unsubscribe()
    })
    expect(channel.subscriberCount).toBe(34)
    publish('a')
    expect(observer.heard).toEqual(['accepted 1 to 34'])
    expect(sinks.map((sink) => sink.payloads.length)).toEqual(sinks.map((_, index) => (index % 3 === 0 ? 1 : 0)))
  })

  it('ends every sink when the channel closes, also past one that throws', () => {
    const [broken, other] = [subscribe(), subscribe()]
    broken.end = () => {
      throw new Error('a bug')
    }
    channel.close()
    channel.close()
    expect(other.ends).toHaveLength(1)
    expect(channel.subscriberCount).toBe(0)
  })
})

describe('holding publishers', () => {
  it('costs them nothing while nobody is behind', () => {
    subscribe()
    publish('a')
    expect(channel.hold()).toBeNull()
  })

  it('holds until all that are behind let go', async () => {
    const [one, two] = [subscribe(), subscribe()]
    const releases: (() => void)[] = []
    for (const sink of [one, two]) {
      sink.behind = new Promise((resolve) =>
        releases.push(() => {
          sink.behind = null
          resolve()
        }),
      )
    }
    publish('a')
    const hold = channel.hold()
    expect(hold).not.toBeNull()
    expect(channel.hold()).toBe(hold)
    const order: string[] = []
    const held = hold?.then(() => order.push('released'))
    releases[0]()
    order.push('one')
    await Promise.resolve()
    order.push('two')
    releases[1]()
    await held
    expect(order).toEqual(['one', 'two', 'released'])
    expect(channel.hold()).toBeNull()
  })

  it('does not hold for a sink that left', () => {
    const sink = new RecordingSink()
    const place = channel.subscribe(sink)
    sink.behind = new Promise(() => {})
    publish('a')
    place.unsubscribe()
    expect(channel.hold()).toBeNull()
  })
})

describe('a channel with a schema', () => {
  const schema = { type: 'object', properties: { id: {}, n: { type: 'number', default: 1 } }, required: ['id'] }

  beforeEach(() => {
    registry = new ChannelRegistry({ create: false })
    channel = registry.declare({ name: 'orders', schema })
  })

  it('refuses single messages of a run, fills others, and keeps the order', () => {
    const refused: unknown[] = []
    const listener = (message: unknown): void => {
      refused.push(message)
    }
    diagnosticsChannel(PUBLISH_REFUSED).subscribe(listener)
    const sink = subscribe()
    const payloads = ['{"id":1,"n":2}', '{"id":2,"n":3}', '{"n":1}', '{"id":3}', '{"id":4,"n":5}', 'garbage']
    channel.publishRun(scannedRun(payloads), observer)
    diagnosticsChannel(PUBLISH_REFUSED).unsubscribe(listener)

    expect(observer.heard).toEqual([
      'accepted 2 to 1',
      'refused PAYLOAD_INVALID',
      'accepted 1 to 1',
      'accepted 1 to 1',
      'refused PAYLOAD_INVALID',
    ])
    expect(sink.payloads).toEqual(['{"id":1,"n":2}', '{"id":2,"n":3}', '{"id":3,"n":1}', '{"id":4,"n":5}'])
    expect(sink.runs).toEqual([2, 1, 1])
    expect(observer.ids).toEqual([observer.ids[0], observer.ids[0] + 2n, observer.ids[0] + 3n])
    expect(refused).toMatchObject([
      { channel: 'orders', error: { code: 'PAYLOAD_INVALID' } },
      { channel: 'orders', error: { code: 'PAYLOAD_INVALID' } },
    ])
  })

  it('keeps cause and key of a message that it fills', () => {
    const causes: unknown[] = []
    const sink = subscribe()
    sink.deliver = (run) => {
      causes.push(...deliversOf(run, channel.schemaId).map(({ envelope }) => envelope.causal))
      return true
    }
    channel.publishRun(scannedRun(['{"id":1}', '{"id":1}'], ['same', 'same']), observer)
    expect(causes).toEqual([{ parentId: 'parent-0', vectorClockEntry: 0n }])
    expect(observer.heard).toEqual(['accepted 1 to 1', 'duplicate to 1'])
    expect(observer.ids[1]).toBe(observer.ids[0])
  })

  it('does not remember the key of a message that it refused', () => {
    publish('{}', 'k')
    publish('{"id":1,"n":1}', 'k')
    publish('{"id":1,"n":1}', 'k')
    expect(observer.heard).toEqual(['refused PAYLOAD_INVALID', 'accepted 1 to 0', 'duplicate to 0'])
  })
})

describe('idempotency keys', () => {
  it('keep neighbours without repetition together', () => {
    const sink = subscribe()
    channel.publishRun(scannedRun(['a', 'b', 'c'], ['1', '2', '3']), observer)
    expect(observer.heard).toEqual(['accepted 3 to 1'])
    expect(sink.runs).toEqual([3])
  })

  it('are recognised within a run, across runs, and answered with the fate of the original', () => {
    const sink = subscribe()
    channel.publishRun(scannedRun(['a', 'b', 'a again', 'c', 'c again'], ['1', '2', '1', '3', '3']), observer)
    subscribe()
    channel.publishRun(scannedRun(['b again', 'd'], ['2', '4']), observer)
    expect(observer.heard).toEqual([
      'accepted 2 to 1',
      'duplicate to 1',
      'accepted 1 to 1',
      'duplicate to 1',
      'duplicate to 1',
      'accepted 1 to 2',
    ])
    const [first, again, third, thirdAgain, secondAgain] = observer.ids
    expect([again, third, thirdAgain, secondAgain]).toEqual([first, first + 2n, first + 2n, first + 1n])
    expect(sink.payloads).toEqual(['a', 'b', 'c', 'd'])
  })

  it('belong to one channel', () => {
    publish('a', 'k')
    registry.get('others').publishRun(oneMessageRun(Buffer.from('a'), null, 'k'), observer)
    expect(observer.heard).toEqual(['accepted 1 to 0', 'accepted 1 to 0'])
  })

  it('are spent by a publish that nobody received', () => {
    publish('a', 'k')
    subscribe()
    publish('a', 'k')
    expect(observer.heard).toEqual(['accepted 1 to 0', 'duplicate to 0'])
  })
})
