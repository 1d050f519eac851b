import { getEventListeners } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { onAbort } from '../ts/abort-watch.ts'
import { type Bus, createBus } from '../ts/bus/index.ts'
import { connect } from '../ts/client/index.ts'
import { ProcessSystem } from '../ts/process/index.ts'
import { createServer } from '../ts/server/index.ts'

describe('who wants to hear of an abort', () => {
  it('is told once, in order, with one listener for all', () => {
    const controller = new AbortController()
    const { signal } = controller
    const told: number[] = []
    const stops = Array.from({ length: 50 }, (_, index) => onAbort(signal, () => told.push(index)))
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    for (let index = 0; index < 50; index += 2) stops[index]()
    controller.abort()
    expect(told).toEqual(Array.from({ length: 25 }, (_, index) => 2 * index + 1))
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
    for (const stop of stops) stop()
    onAbort(signal, () => told.push(50))()
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
    expect(told).toHaveLength(25)
  })

  it('leaves nothing on the signal when nobody listens any more, and may come again', () => {
    const controller = new AbortController()
    const { signal } = controller
    const told: string[] = []
    const stop = onAbort(signal, () => told.push('first'))
    stop()
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
    onAbort(signal, () => told.push('second'))
    // Of somebody who has left already.
    stop()
    controller.abort()
    expect(told).toEqual(['second'])
  })

  it('is not told when somebody who was told before it has withdrawn it', () => {
    const controller = new AbortController()
    const told: string[] = []
    onAbort(controller.signal, () => {
      told.push('first')
      stop()
    })
    const stop = onAbort(controller.signal, () => told.push('second'))
    onAbort(controller.signal, () => told.push('third'))
    controller.abort()
    expect(told).toEqual(['first', 'third'])
  })

  it('is told although another one threw, which reaches the process', async () => {
    const controller = new AbortController()
    const told: string[] = []
    const own = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    const thrown = new Promise<unknown>((resolve) => process.once('uncaughtException', resolve))
    onTestFinished(() => {
      for (const listener of own) process.on('uncaughtException', listener)
    })
    onAbort(controller.signal, () => {
      throw new Error('not my fault')
    })
    onAbort(controller.signal, () => told.push('second'))
    controller.abort()
    expect(told).toEqual(['second'])
    expect(await thrown).toMatchObject({ message: 'not my fault' })
  })
})

/** Uses one signal for a dozen of everything, aborts it, and returns the warnings that the process gave meanwhile. */
async function warnings(use: (signal: AbortSignal) => Promise<unknown>[]): Promise<string[]> {
  const seen: string[] = []
  const listener = ({ name, message }: Error): void => {
    seen.push(`${name}: ${message}`)
  }
  process.on('warning', listener)
  onTestFinished(() => {
    process.off('warning', listener)
  })
  const controller = new AbortController()
  const waiting = use(controller.signal)
  await nextTurn()
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1)
  controller.abort()
  for (const outcome of await Promise.allSettled(waiting)) {
    if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'ABORTED' })
  }
  await nextTurn()
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
  return seen
}

const DOZEN = Array.from({ length: 12 }, (_, index) => index)

function everything(bus: Bus, signal: AbortSignal): Promise<unknown>[] {
  return DOZEN.flatMap((index) => {
    const responder = bus.respond(`subject ${index}`, () => null, { signal })
    const subscription = bus.channel('news').subscribe(() => {}, { signal })
    const conversation = bus.converse('silence', { signal })
    return [
      bus.ask('silence', index, { signal, timeoutMs: 20_000 }),
      bus.ask('silence', index, { signal }),
      bus.dispatch('silence', index, { signal }),
      conversation.then((open) => open.request(index, { signal, timeoutMs: 20_000 })),
      bus.channel('news').ready({ signal }),
      bus.channel('news').publish(index, { signal }),
      subscription.closed,
      responder.ready(),
    ]
  })
}

describe('one signal behind many calls', () => {
  it('has one listener, on a bus in this process', async () => {
    const bus = await createBus()
    onTestFinished(() => bus.close())
    bus.respond('silence', () => new Promise(() => {}))
    expect(await warnings((signal) => everything(bus, signal))).toEqual([])
  })

  it('has one listener, on a remote bus', async () => {
    const server = await createServer({ port: 0 })
    onTestFinished(() => server.close({ graceMs: 0 }))
    server.bus.respond('silence', () => new Promise(() => {}))
    const { host, port } = server.address
    const bus = await connect(`liminal://${host}:${port}`)
    onTestFinished(() => bus.close())
    expect(await warnings((signal) => everything(bus, signal))).toEqual([])
  })

  it('has one listener, behind processes that receive', async () => {
    const system = new ProcessSystem()
    const receiving = (signal: AbortSignal): Promise<unknown>[] =>
      DOZEN.map(() => system.spawn(async (self) => self.next({ signal }).catch(() => null)).exited)
    expect(await warnings(receiving)).toEqual([])
  })
})
