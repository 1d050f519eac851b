import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Bus, type BusOptions, coreOf, createBus, type LocalBus, SUBSCRIPTION_SHED } from '../../ts/bus/index.ts'
import { deferred, failure, numbers, Taker } from '../conformance/tools.ts'

const open: Bus[] = []

async function bus(options?: BusOptions): Promise<LocalBus> {
  const made = await createBus(options)
  open.push(made)
  return made
}

afterEach(async () => {
  vi.useRealTimers()
  for (const made of open.splice(0)) await made.close()
})

describe('a subscription that falls behind', () => {
  it('holds the publisher until it caught up', async () => {
    const limits = { maxDeliveries: 8, holdMs: 60_000, stallMs: 60_000 }
    const channel = (await bus({ subscriptionQueue: limits })).channel<number>('ticks')
    const subscription = channel.subscribe()
    const taker = new Taker(subscription)
    let published = 0
    const publishing = (async () => {
      for (const value of numbers(100)) {
        await channel.publish(value)
        published++
      }
    })()
    await new Promise((resolve) => setImmediate(resolve))
    expect(published).toBeLessThan(8)
    expect(await taker.values(100)).toEqual(numbers(100))
    await publishing
  })

  it('is waited for no longer than a publish may take; the message is published all the same', async () => {
    const limits = { maxDeliveries: 4, holdMs: 60_000, stallMs: 60_000 }
    const channel = (await bus({ subscriptionQueue: limits })).channel<number>('ticks')
    const taker = new Taker(channel.subscribe())
    for (const value of numbers(2)) await channel.publish(value)
    expect(await channel.publish(2, { timeoutMs: 5 })).toMatchObject({ delivered: true })
    const controller = new AbortController()
    const aborted = channel.publish(3, { signal: controller.signal })
    controller.abort()
    expect(await aborted).toMatchObject({ delivered: true })
    expect(await taker.values(4)).toEqual(numbers(4))
  })

  it('refuses sends, and says when it is ready', async () => {
    const limits = { maxDeliveries: 4, holdMs: 60_000, stallMs: 60_000 }
    const channel = (await bus({ subscriptionQueue: limits })).channel<number>('ticks')
    const taker = new Taker(channel.subscribe())
    for (const value of numbers(3)) channel.send(value)
    await failure(() => channel.send(3), 'OUTBOX_FULL')
    await failure(() => channel.ready({ timeoutMs: 5 }), 'TIMEOUT')
    await failure(() => channel.ready({ signal: AbortSignal.timeout(5) }), 'ABORTED')
    const ready = channel.ready()
    expect(await taker.values(3)).toEqual(numbers(3))
    await ready
    channel.send(3)
    expect(await taker.values(1)).toEqual([3])
    expect(channel.sendCounts).toEqual({ sent: 4, failed: 0, lastError: null })
  })

  it.each([
    ['deliveries', { maxDeliveries: 10 }],
    ['payload bytes', { maxBytes: 2_000 }],
  ])('is shed past its cap of %s, keeps what it got, and harms nobody', async (_what, caps) => {
    const limits = { ...caps, holdMs: 0, stallMs: 0 }
    const channel = (await bus({ subscriptionQueue: limits })).channel<string>('load')
    const said: unknown[] = []
    const listener = (message: unknown): void => {
      said.push(message)
    }
    diagnosticsChannel(SUBSCRIPTION_SHED).subscribe(listener)
    const slow = channel.subscribe()
    const seen: string[] = []
    channel.subscribe((deliveries) => {
      for (const delivery of deliveries) seen.push(delivery.value)
    })
    const text = 'x'.repeat(150)
    let receipt = await channel.publish(text)
    let published = 1
    for (; receipt.deliveredTo === 2 && published < 100; published++) receipt = await channel.publish(text)
    diagnosticsChannel(SUBSCRIPTION_SHED).unsubscribe(listener)

    expect(receipt.deliveredTo).toBe(1)
    const error = await failure(() => slow.closed, 'SUBSCRIPTION_SHED')
    expect(error.message).toContain("'load'")
    expect(said).toEqual([{ channel: 'load', error }])
    const taker = new Taker(slow)
    expect(await taker.values(published - 1)).toHaveLength(published - 1)
    await taker.fails('SUBSCRIPTION_SHED')
    expect(await channel.publish(text)).toMatchObject({ deliveredTo: 1 })
    expect(seen).toHaveLength(published + 1)
  })

  it('takes a single message of any size into an empty queue', async () => {
    const channel = (await bus({ subscriptionQueue: { maxBytes: 100 } })).channel<string>('large')
    const taker = new Taker(channel.subscribe())
    const text = 'x'.repeat(100_000)
    await channel.publish(text)
    expect(await taker.values(1)).toEqual([text])
  })

  it('gets deliveries that nobody else can write to', async () => {
    const channel = (await bus()).channel<Uint8Array>('raw', { payload: 'bytes' })
    const [one, two] = [new Taker(channel.subscribe()), new Taker(channel.subscribe())]
    await channel.publish(Uint8Array.of(1, 2, 3))
    ;(await one.next()).value.fill(0)
    expect([...(await two.next()).value]).toEqual([1, 2, 3])
  })
})

describe('the event loop', () => {
  it('gets its turns while a publisher awaits nothing but its publishes', async () => {
    const channel = (await bus()).channel<number>('ticks')
    let ticked = false
    setTimeout(() => {
      ticked = true
    }, 1)
    let published = 0
    for (; !ticked && published < 10_000_000; published++) await channel.publish(published)
    expect(ticked).toBe(true)
  })

  it('gets its turns while handlers feed each other', async () => {
    const made = await bus()
    const [ping, pong] = [made.channel<number>('ping'), made.channel<number>('pong')]
    let rallies = 0
    ping.subscribe(() => {
      rallies++
      pong.send(0)
    })
    const playing = pong.subscribe(() => ping.send(0))
    ping.send(0)
    await new Promise((resolve) => setTimeout(resolve, 1))
    expect(rallies).toBeGreaterThan(0)
    await playing.close()
  })
})

describe('asking in process', () => {
  it('leaves nothing behind after ten thousand asks, good and bad', async () => {
    const made = await bus()
    made.respond<number>('thirds', (value) => {
      if (value % 3 === 0) throw new Error('a third')
      return value
    })
    let failed = 0
    for (const value of numbers(10_000)) {
      await made.ask('thirds', value).catch(() => failed++)
    }
    expect(failed).toBe(3_334)
    expect(coreOf(made)?.conversations.size).toBe(0)
  })

  it('leaves no timer behind', async () => {
    const made = await bus()
    made.respond('now', () => 1)
    made.respond('never', () => new Promise(() => {}))
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    await made.ask('now', 1)
    const asked = failure(() => made.ask('never', 1, { timeoutMs: 100 }), 'TIMEOUT')
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(100)
    await asked
    expect(vi.getTimerCount()).toBe(0)
  })

  it('waits five seconds unless told otherwise', async () => {
    const made = await bus()
    made.respond('never', () => new Promise(() => {}))
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const asked = failure(() => made.ask('never', 1), 'TIMEOUT')
    vi.advanceTimersByTime(5_000)
    expect((await asked).message).toContain('5000 ms')
  })
})

describe('creating a bus', () => {
  it.each<[string, BusOptions]>([
    ['maxChannels', { maxChannels: 0 }],
    ['maxConversations', { maxConversations: 1.5 }],
    ['maxPendingRequests', { maxPendingRequests: -1 }],
    ['maxMessageBytes', { maxMessageBytes: 0 }],
    ['subscriptionQueue.maxDeliveries', { subscriptionQueue: { maxDeliveries: 0 } }],
    ['subscriptionQueue.holdMs', { subscriptionQueue: { holdMs: -1 } }],
    ['idempotency.windowMs', { idempotency: { windowMs: 0 } }],
    ['closeGraceMs', { closeGraceMs: Number.NaN }],
    ['name', { channels: [{ name: '' }] }],
    ['windowMS', { idempotency: { windowMS: 5 } as object }],
    ['dataDir', { dataDir: 'a\0b' }],
  ])('checks %s', async (argument, options) => {
    expect((await failure(() => createBus(options), 'INVALID_ARGUMENT')).message).toContain(argument)
  })

  it('fails for a channel declared twice and for a schema that cannot be used', async () => {
    await failure(() => createBus({ channels: [{ name: 'a' }, { name: 'a' }] }), 'CHANNEL_EXISTS')
    await failure(() => createBus({ channels: [{ name: 'a', schema: { type: 'x' } }] }), 'SCHEMA_INVALID')
  })

  it('refuses messages over its limit, and nothing else', async () => {
    const made = await bus({ maxMessageBytes: 1_000 })
    const channel = made.channel<string>('a')
    made.respond('echo', (value) => value)
    const conversation = await made.converse('echo')
    const large = 'x'.repeat(1_000)
    for (const call of [
      () => channel.publish(large),
      () => channel.send(large),
      () => made.ask('echo', large),
      () => conversation.request(large),
      () => conversation.send(large),
    ]) {
      expect((await failure(call, 'PAYLOAD_TOO_LARGE')).retryable).toBe(false)
    }
    expect(channel.sendCounts.sent).toBe(0)
    await channel.publish('x'.repeat(900))
    expect(await conversation.request('small')).toBe('small')
  })
})

describe('closing a bus', () => {
  it('waits for what runs on top of it, while it still works', async () => {
    const made = await bus()
    const core = coreOf(made)
    if (core === null) throw new Error('A bus in this process has a core.')
    const done = deferred()
    const steps: string[] = []
    made.respond('still', () => 'here')
    core.onClose(async () => {
      const conversation = core.conversations.open('still', { ended: () => {} })
      const reply = await conversation.request(Buffer.from('1'), { parentId: null, vectorClockEntry: null }, {})
      steps.push(Buffer.from(reply).toString(), String(core.state !== 'open'), String(core.channels.get('x').closed))
      conversation.close()
      await done.promise
      steps.push('listener')
    })
    const withdraw = core.onClose(() => {
      steps.push('withdrawn')
    })
    withdraw()
    const closing = made.close().then(() => steps.push('closed'))
    await failure(() => made.ask('still', 1), 'SHUTTING_DOWN')
    done.resolve()
    await closing
    expect(steps).toEqual(['"here"', 'true', 'false', 'listener', 'closed'])
    expect(core.channels.list()).toEqual([])
  })

  it('closes all the same when that fails, and says so', async () => {
    const made = await bus()
    const cause = new Error('the port is stuck')
    coreOf(made)?.onClose(() => Promise.reject(cause))
    const subscription = made.channel('ticks').subscribe()
    const error = await failure(() => made.close(), 'INTERNAL')
    expect(error.cause).toBe(cause)
    await failure(() => subscription.closed, 'CLOSED')
    open.length = 0
  })

  it('does not wait for it for ever', async () => {
    const made = await bus({ closeGraceMs: 10 })
    coreOf(made)?.onClose(() => new Promise(() => {}))
    const subscription = made.channel('ticks').subscribe()
    await failure(() => made.close(), 'TIMEOUT')
    await failure(() => subscription.closed, 'CLOSED')
    open.length = 0
  })

  it('lets a held publisher go with its receipt', async () => {
    const made = await bus({ subscriptionQueue: { maxDeliveries: 2, holdMs: 60_000, stallMs: 60_000 } })
    const channel = made.channel<number>('ticks')
    channel.subscribe()
    await channel.publish(0)
    const held = channel.publish(1)
    const waiting = failure(() => channel.ready(), 'CLOSED')
    await made.close()
    expect(await held).toMatchObject({ delivered: true })
    await waiting
  })

  it('is known to have no core where it is not in this process', async () => {
    const made = await bus()
    const wrapped: Bus = {
      channel: (name) => made.channel(name),
      ask: (subject, request) => made.ask(subject, request),
      converse: (subject) => made.converse(subject),
      respond: made.respond.bind(made),
      worker: made.worker,
      administration: made.administration,
      stream: (subject, request) => made.stream(subject, request),
      dispatch: (subject, message) => made.dispatch(subject, message),
      close: () => made.close(),
      [Symbol.asyncDispose]: () => made.close(),
    }
    expect(coreOf(wrapped)).toBeNull()
  })
})
