import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  type BodyProcess,
  exitError,
  exitKilled,
  exitNormal,
  ProcessSystem,
  type Received,
  type Self,
} from '../../ts/process/index.ts'
import { codeOf, rejection, restOfTurn } from './support.ts'

let processes: ProcessSystem

beforeEach(() => {
  processes = new ProcessSystem()
})

afterEach(() => {
  vi.useRealTimers()
})

interface Reader<M> {
  readonly process: BodyProcess<M>
  readonly self: Self<M>
}

/** A process whose mailbox the test reads. */
async function reader<M>(options: { mailbox?: number; trapExits?: boolean } = {}): Promise<Reader<M>> {
  const selves: Self<M>[] = []
  const process = processes.spawn<M>((self) => {
    selves.push(self)
    return new Promise(() => {})
  }, options)
  await restOfTurn()
  return { process, self: selves[0] }
}

const message = (value: unknown): Received<unknown> => ({ is: 'message', message: value })

describe('a mailbox', () => {
  it('gives messages in the order of arrival, the values themselves, whatever they are', async () => {
    const { process, self } = await reader<unknown>()
    const sent = [{ deep: true }, undefined, null, 0, 'text']
    for (const value of sent) process.send(value)
    const received: unknown[] = []
    for await (const one of self) {
      if (one.is === 'message') received.push(one.message)
      if (received.length === sent.length) break
    }
    expect(received).toEqual(sent)
    expect(received[0]).toBe(sent[0])
  })

  it('wakes who waits', async () => {
    const { process, self } = await reader<string>()
    const next = self.next()
    expect(processes.info(process)?.status).toBe('receiving')
    process.send('hello')
    expect(await next).toEqual(message('hello'))
    expect(processes.info(process)?.status).toBe('running')
  })

  it('refuses the message over its cap, says so to the sender, and has room again after a receive', async () => {
    const { process, self } = await reader<number>({ mailbox: 2 })
    process.send(1)
    process.send(2)
    expect(codeOf(() => process.send(3))).toBe('MAILBOX_FULL')
    expect(() => processes.send(process.pid, 3)).toThrow(/2 messages wait/)
    expect(processes.info(process)).toMatchObject({ mailboxSize: 2, mailboxCapacity: 2 })
    expect(await self.next()).toEqual(message(1))
    process.send(3)
    expect([await self.next(), await self.next()]).toEqual([message(2), message(3)])
  })

  it('ends the process that does not care that it was refused, and no other', async () => {
    const { process } = await reader<number>({ mailbox: 1 })
    const sender = processes.spawn((self) => {
      self.send(process, 1)
      self.send(process, 2)
    })
    expect((await sender.exited).reason).toMatchObject({
      is: 'error',
      cause: { code: 'MAILBOX_FULL', retryable: true },
    })
    expect(process.over).toBeNull()
  })

  it('takes exits also when it is full: none is ever lost', async () => {
    const { process, self } = await reader<number>({ mailbox: 1, trapExits: true })
    const linked = processes.spawnPassive()
    const watched = processes.spawnPassive()
    self.link(linked)
    self.monitor(watched)
    process.send(1)
    linked.end()
    watched.end()
    process.exit(exitError('please'))
    const received = [await self.next(), await self.next(), await self.next(), await self.next()]
    expect(received.map((one) => one.is)).toEqual(['message', 'link-exit', 'down', 'exit-request'])
  })

  it('has a bound for requests to end as well: one waits, the others say nothing new', async () => {
    const { process, self } = await reader<number>({ trapExits: true })
    for (let index = 0; index < 10_000; index++) process.exit(exitNormal(index))
    expect(processes.info(process)?.mailboxSize).toBe(1)
    expect(await self.next()).toMatchObject({ is: 'exit-request', reason: { cause: 0 } })
    process.exit(exitNormal('again'))
    expect(await self.next()).toMatchObject({ is: 'exit-request', reason: { cause: 'again' } })
  })

  it('does not take a message for an exit, even if it is one that somebody passed on', async () => {
    const { process, self } = await reader<unknown>({ trapExits: true })
    process.exit()
    const request = await self.next()
    process.send(request)
    expect(await self.next()).toEqual(message(request))
  })

  it('drops what nobody received when its process ends', async () => {
    const { process } = await reader<number>()
    process.send(1)
    process.exit(exitKilled())
    expect(codeOf(() => process.send(2))).toBe('PROCESS_GONE')
    expect(() => process.send(2)).toThrow(/is over \(killed\): the message was not delivered/)
  })
})

describe('a message to somebody who is not there', () => {
  it('is refused with a typed error that has the exit, and never vanishes', async () => {
    const { process } = await reader<number>()
    process.exit(exitError('crash'))
    const error = await rejection((async () => processes.send(process.pid, 1))())
    expect(error).toMatchObject({ code: 'PROCESS_GONE', cause: process.over })
    expect(codeOf(() => processes.send(4_711, 1))).toBe('PROCESS_GONE')
  })

  it('is refused by a passive process: it has no mailbox', () => {
    const passive = processes.spawnPassive()
    expect(codeOf(() => processes.send(passive.pid, 1))).toBe('NOT_SUPPORTED')
  })
})

describe('a receive that is cut short', () => {
  it('takes no message along: the next receive gets the reply that came too late', async () => {
    const { process, self } = await reader<string>()
    vi.useFakeTimers()
    const first = rejection(self.next({ timeoutMs: 150 }))
    vi.advanceTimersByTime(150)
    expect(await first).toMatchObject({ code: 'TIMEOUT' })
    expect(vi.getTimerCount()).toBe(0)
    process.send('late')
    expect(await self.next()).toEqual(message('late'))
  })

  it('leaves neither timer nor listener behind when the message comes in time', async () => {
    const { process, self } = await reader<string>()
    vi.useFakeTimers()
    const controller = new AbortController()
    const removed = vi.spyOn(controller.signal, 'removeEventListener')
    const next = self.next({ timeoutMs: 150, signal: controller.signal })
    process.send('in time')
    expect(await next).toEqual(message('in time'))
    expect(vi.getTimerCount()).toBe(0)
    expect(removed).toHaveBeenCalledOnce()
  })

  it('is aborted by its signal, before or while it waits, and takes nothing', async () => {
    const { process, self } = await reader<string>()
    const controller = new AbortController()
    const waiting = rejection(self.next({ signal: controller.signal }))
    controller.abort('enough')
    expect(await waiting).toMatchObject({ code: 'ABORTED', cause: 'enough' })
    process.send('kept')
    expect(await rejection(self.next({ signal: controller.signal }))).toMatchObject({ code: 'ABORTED' })
    expect(await self.next()).toEqual(message('kept'))
  })

  it('refuses limits that cannot be kept, and a second receive at the same time', async () => {
    const { process, self } = await reader<string>()
    expect(await rejection(self.next({ timeoutMs: -1 }))).toMatchObject({ code: 'INVALID_ARGUMENT' })
    const first = self.next()
    expect(await rejection(self.next())).toMatchObject({ code: 'NOT_SUPPORTED' })
    process.send('for the first')
    expect(await first).toEqual(message('for the first'))
  })
})

describe('processes that never rest', () => {
  it('let timers have their turn', async () => {
    let rounds = 0
    const one = processes.spawn<number>(async (self) => {
      for await (const received of self) if (received.is === 'message') self.send(other, ++rounds)
    })
    const other = processes.spawn<number>(async (self) => {
      for await (const received of self) if (received.is === 'message') self.send(one, received.message)
    })
    one.send(0)
    await new Promise((resolve) => setTimeout(resolve, 1))
    const untilTimer = rounds
    expect(untilTimer).toBeGreaterThan(0)
    // They still go on, and do a good deal of work in each turn of the loop.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(rounds - untilTimer).toBeGreaterThan(100)
    processes.close()
  })

  it('lose no message to the turn that they wait for', async () => {
    const { process, self } = await reader<number>({ mailbox: 5_000 })
    for (let index = 0; index < 3_000; index++) process.send(index)
    for (let index = 0; index < 3_000; index++) expect(await self.next()).toEqual(message(index))
  })

  it('do not time out with a message that only waits for its turn', async () => {
    const { process, self } = await reader<number>({ mailbox: 5_000 })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    for (let index = 0; index < 1_025; index++) process.send(index)
    for (let index = 0; index < 1_024; index++) await self.next()
    const last = self.next({ timeoutMs: 5 })
    await restOfTurn()
    expect(processes.info(process)).toMatchObject({ status: 'receiving', mailboxSize: 1 })
    vi.advanceTimersByTime(5)
    expect(await last).toEqual(message(1_024))
    process.send(1_025)
    expect(await self.next()).toEqual(message(1_025))
  })
})
