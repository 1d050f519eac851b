import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Bus, BusOptions } from '../../ts/bus/index.ts'
import { Disk, type HeldSync } from './disk/disk.ts'
import { NO_SHIM } from './disk/shim.ts'
import { serve, take, texts } from './durable-fixture.ts'

const CHANNELS = [
  { name: 'strict', durable: { sync: 'each' } },
  { name: 'interval', durable: { sync: 'interval' } },
  { name: 'os', durable: { sync: 'os' } },
  { name: 'gossip' },
] as const satisfies BusOptions['channels']

/** The files of the stores. */
const [STRICT, INTERVAL, OS] = ['each/data.mdb', 'interval/data.mdb', 'os/data.mdb']

/** A commit is synced twice: its pages, and then the page that makes them the current ones. */
const COMMIT = ['file', 'write'] as const

const EMBEDDED = fileURLToPath(new URL('./disk/embedded.mjs', import.meta.url))

/** A server on a disk, with a first message on each channel: what is written about one when it is first used is not what these tests are about. */
async function onDisk(disk: Disk, syncIntervalMs = 60_000) {
  const options: BusOptions = { dataDir: disk.directory, channels: CHANNELS, syncIntervalMs }
  const served = await serve(options, disk)
  for (const { name } of CHANNELS) await served.bus.channel(name).publish('first')
  return served
}

/** The server has done all that it was asked before, and has answered whom it could. */
async function answers(bus: Bus): Promise<void> {
  for (const _ of [1, 2]) expect(await bus.channel('gossip').publish('anybody?')).toMatchObject({ position: null })
  expect(await bus.ask('anything', 'still there')).toBe('still there')
}

/**
 * Lets the syncs of some commits go one by one, and expects that a call waits for all of them and for no other one.
 * @param look called while each of them is held, when the server has done what it can.
 */
async function throughSyncs(
  disk: Disk,
  bus: Bus,
  call: Promise<unknown>,
  commits = 1,
  look: () => void = () => {},
): Promise<void> {
  let isOver = false
  const over = call.finally(() => {
    isOver = true
  })
  for (const of of Array.from({ length: commits }, () => COMMIT).flat()) {
    const sync = await Promise.race([disk.held(), over])
    if (isOver || !isSync(sync)) throw new Error(`It came to its end, and a sync of its ${of} was due.`)
    expect(sync.of).toBe(of)
    await answers(bus)
    expect(isOver, `it came to its end before a sync of its ${of}`).toBe(false)
    look()
    sync.pass()
  }
  await over
}

function isSync(value: unknown): value is HeldSync {
  return typeof value === 'object' && value !== null && 'pass' in value
}

// Skipped with its reason in its name.
const where = NO_SHIM === null ? '' : ` (not here: ${NO_SHIM})`

describe.skipIf(NO_SHIM !== null)(`a server whose disk takes its time${where}`, () => {
  it('acknowledges once what it acknowledges is synced, as far as the policy says', async () => {
    const disk = await Disk.make()
    const { bus } = await onDisk(disk)
    const subscription = bus
      .channel('strict')
      .subscribe({ cursor: { name: 'billing', checkpoint: 'explicit' }, from: 'earliest', accept: 'explicit' })
    for await (const delivery of subscription) {
      delivery.accept()
      disk.hold(STRICT)
      const checkpoint = subscription.checkpoint()
      await throughSyncs(disk, bus, checkpoint)
      disk.release()
      break
    }
    await subscription.close()

    disk.hold(STRICT)
    const publish = bus.channel('strict').publish('second')
    await throughSyncs(disk, bus, publish)
    expect(await publish).toMatchObject({ position: 1n, duplicate: false })

    // These do not wait for the disk.
    disk.hold(STRICT, INTERVAL, OS)
    expect(await bus.channel('os').publish('second')).toMatchObject({ position: 1n })
    expect(await bus.channel('interval').publish('second')).toMatchObject({ position: 1n })
  })

  it('goes on with a durable conversation once each of its turns is synced', async () => {
    const disk = await Disk.make()
    const { bus } = await onDisk(disk)
    const done: string[] = []
    const responder = bus.respond('order', async (request, context) => {
      done.push('asked')
      const charged = await context.step('charge', () => {
        done.push('charged')
        return 'token'
      })
      done.push('shipped')
      return { request, charged }
    })
    await responder.ready()
    disk.hold(STRICT)
    const opening = bus.converse('order', { durable: true, key: 'one' })
    await throughSyncs(disk, bus, opening)
    const conversation = await opening
    const asked = conversation.request('book', { requestId: 'first' })
    const seen: string[] = []
    await throughSyncs(disk, bus, asked, 3, () => seen.push(done.join(' ')))
    const [received, stepped, replied] = ['', 'asked charged', 'asked charged shipped']
    expect(seen).toEqual([received, received, stepped, stepped, replied, replied])
    expect(await asked).toEqual({ request: 'book', charged: 'token' })
    await throughSyncs(disk, bus, conversation.close())
  })
})

describe.skipIf(NO_SHIM !== null)(`a disk that fails${where}`, () => {
  it('to sync the pages of a commit has what waited for it refused, and takes it later', async () => {
    const disk = await Disk.make()
    const { server, bus } = await onDisk(disk)
    const conversation = await bus.converse('order', { durable: true, key: 'one' })
    const key = { idempotencyKey: 'order' }
    disk.hold(STRICT)
    const refused = expect(bus.channel('strict').publish('order', key)).rejects.toMatchObject({
      code: 'STORE_FAILED',
      retryable: true,
    })
    ;(await disk.held()).fail()
    await refused
    disk.release()
    await answers(bus)
    expect(await bus.channel('strict').publish('order', key)).toMatchObject({ position: 1n, duplicate: false })

    // What a behaviour has done is not undone by a disk: its record is tried again.
    let charges = 0
    await bus
      .respond('order', async (_request, context) => {
        disk.hold(STRICT)
        const charged = await context.step('charge', () => ++charges)
        disk.release()
        return charged
      })
      .ready()
    const asked = conversation.request(1)
    ;(await disk.held()).fail()
    ;(await disk.held()).pass()
    disk.release()
    expect(await asked).toBe(1)
    expect(charges).toBe(1)
    await server.kill()
    const next = await serve({ dataDir: disk.directory, channels: CHANNELS }, disk)
    expect(await texts(next.bus, 'strict')).toEqual(['"first"', '"order"'])
  })

  it('to end a commit ends all writing, since it may be on the disk; the bus stays up, and a restart finds out', async () => {
    const disk = await Disk.make()
    const { server, bus } = await onDisk(disk)
    const publish = (value: string) => bus.channel('strict').publish(value, { idempotencyKey: value })
    await publish('kept')
    disk.hold(STRICT)
    const refused = expect(publish('doubtful')).rejects.toMatchObject({ code: 'STORE_FAILED' })
    ;(await disk.held()).pass()
    ;(await disk.held()).fail()
    await refused
    disk.release()
    for (const value of ['doubtful', 'another']) {
      await expect(publish(value)).rejects.toMatchObject({ code: 'STORE_FAILED' })
    }
    // Of what is known to be stored the receipt is as good as ever.
    expect(await publish('kept')).toMatchObject({ position: 1n, duplicate: true })
    await expect(bus.converse('order', { durable: true })).rejects.toMatchObject({ code: 'STORE_FAILED' })
    await answers(bus)
    expect(await bus.channel('os').publish('second')).toMatchObject({ position: 1n })
    await server.close()

    const next = await serve({ dataDir: disk.directory, channels: CHANNELS }, disk)
    const strict = next.bus.channel('strict')
    expect(await strict.publish('kept', { idempotencyKey: 'kept' })).toMatchObject({ position: 1n, duplicate: true })
    expect(await strict.publish('doubtful', { idempotencyKey: 'doubtful' })).toMatchObject({ position: 2n })
    expect(await texts(next.bus, 'strict')).toEqual(['"first"', '"kept"', '"doubtful"'])
  })

  it('to sync in time ends the writing of that policy: a later sync would not tell what was dropped', async () => {
    const disk = await Disk.make()
    const { server, bus } = await onDisk(disk, 20)
    disk.hold(INTERVAL)
    const failing = disk.held().then((sync) => sync.fail())
    const stored = ['first']
    let refusal: unknown = null
    while (refusal === null) {
      const value = `${stored.length}`
      // What comes while the disk syncs waits for the end of that.
      await bus
        .channel('interval')
        .publish(value)
        .then(
          () => stored.push(value),
          (error: unknown) => {
            refusal = error
          },
        )
    }
    await failing
    disk.release()
    expect(refusal).toMatchObject({ code: 'STORE_FAILED' })
    for (const _ of [1, 2]) {
      await expect(bus.channel('interval').publish('more')).rejects.toMatchObject({ code: 'STORE_FAILED' })
      // Others are not concerned.
      await bus.channel('strict').publish('more')
      await bus.channel('os').publish('more')
    }
    const read = await take<string>(bus, 'interval', stored.length, { from: 'earliest' })
    expect(read.map(({ value }) => value)).toEqual(stored)
    await server.kill()
    const next = await serve({ dataDir: disk.directory, channels: CHANNELS }, disk)
    expect(await next.bus.channel('interval').publish('more')).toMatchObject({ position: BigInt(stored.length) })
  })
})

describe.skipIf(NO_SHIM !== null)(`a bus without a server whose disk takes its time${where}`, () => {
  it('acknowledges once what it acknowledges is synced, and refuses what is not', async () => {
    const disk = await Disk.make()
    const options = JSON.stringify({ dataDir: disk.directory, channels: CHANNELS, syncIntervalMs: 60_000 })
    const child = spawn(process.execPath, [EMBEDDED, options], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...disk.environment },
    })
    const exited = once(child, 'exit')
    onTestFinished(async () => {
      child.kill('SIGKILL')
      await exited
    })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const outcome = async () => JSON.parse((await lines.next()).value)
    const publish = (channel: string, value: string) =>
      child.stdin.write(`${JSON.stringify([channel, value, value])}\n`)
    expect(await outcome()).toEqual({ ready: true })
    for (const { name } of CHANNELS) {
      publish(name, 'first')
      expect(await outcome()).toMatchObject({ value: 'first' })
    }
    disk.hold(STRICT, INTERVAL, OS)
    publish('strict', 'held')
    for (const of of COMMIT) {
      const sync = await disk.held()
      expect([sync.file, sync.of]).toEqual([STRICT, of])
      for (const channel of ['gossip', 'os', 'interval']) {
        publish(channel, `meanwhile ${of}`)
        // The first line that comes is that of this one: the other one waits.
        expect(await outcome()).toMatchObject({ value: `meanwhile ${of}` })
      }
      sync.pass()
    }
    expect(await outcome()).toEqual({ value: 'held', position: 1, duplicate: false })

    publish('strict', 'refused')
    ;(await disk.held()).fail()
    expect(await outcome()).toEqual({ value: 'refused', failed: 'STORE_FAILED', retryable: true })
    publish('strict', 'doubtful')
    ;(await disk.held()).pass()
    ;(await disk.held()).fail()
    disk.release()
    expect(await outcome()).toEqual({ value: 'doubtful', failed: 'STORE_FAILED', retryable: false })
    publish('strict', 'more')
    expect(await outcome()).toEqual({ value: 'more', failed: 'STORE_FAILED', retryable: false })
    child.stdin.end()
    await exited
  })
})
