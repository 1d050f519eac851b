import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { cp, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Bus, BusOptions } from '../../ts/bus/index.ts'
import { connect } from '../../ts/client/index.ts'
import { Disk } from './disk/disk.ts'
import { NO_SHIM } from './disk/shim.ts'
import { serve, temporaryDirectory } from './durable-fixture.ts'
import { DurableServer } from './durable-server.ts'
import { keyOf, payloadOf } from './kills/message.ts'
import { generator, type Random } from './random.ts'

const CUTS = 20
const SEED = Number(process.env.LIMINAL_FAULT_SEED ?? randomInt(2 ** 31))
const READER = fileURLToPath(new URL('./disk/reader.mjs', import.meta.url))
const CHANNELS = [
  { name: 'strict', durable: { sync: 'each' } },
  { name: 'os', durable: { sync: 'os' } },
] as const satisfies BusOptions['channels']
const [STRICT, RELAXED] = ['each/data.mdb', 'os/data.mdb']

/** Something that somebody was told, and how much had happened to the disk by then. */
interface Told {
  readonly at: number
}

interface Acknowledged extends Told {
  readonly key: string
  readonly position: number
}

/** What a reader finds in a directory. */
interface Found {
  readonly log: readonly string[]
  readonly cursors: readonly number[]
  readonly again: readonly (readonly [position: number, duplicate: boolean])[]
  readonly replies: readonly unknown[]
  readonly relaxed: readonly string[] | string
}

/** Everything that was promised while the power was on. */
class Promises {
  readonly #disk: Disk
  readonly acknowledged: Acknowledged[] = []
  /** By position. */
  readonly published = new Map<number, string>()
  readonly checkpoints: (Told & { readonly position: number })[] = []
  readonly steps: (Told & { readonly request: string; readonly output: string })[] = []
  readonly relaxed = new Map<number, string>()

  constructor(disk: Disk) {
    this.#disk = disk
  }

  get now(): number {
    return this.#disk.platter.length
  }

  /** Publishes numbers with a key each, some at a time; what was cut off is published again. */
  async publish(bus: Bus, publisher: number, from: number, to: number, window: number): Promise<void> {
    const strict = bus.channel<Uint8Array>('strict', { payload: 'bytes' })
    for (let number = from; number < to; number += window) {
      const numbers = Array.from({ length: Math.min(window, to - number) }, (_, index) => number + index)
      await Promise.all(
        numbers.map(async (each) => {
          const identity = { publisher, number: each }
          const payload = payloadOf(identity)
          const key = keyOf(identity)
          const { position } = await strict.publish(payload, { idempotencyKey: key })
          this.acknowledged.push({ at: this.now, key, position: Number(position) })
          this.published.set(Number(position), payload.toString('latin1'))
        }),
      )
    }
  }

  async publishRelaxed(bus: Bus, count: number): Promise<void> {
    for (let number = 0; number < count; number++) {
      const payload = payloadOf({ publisher: 9, number })
      const { position } = await bus.channel<Uint8Array>('os', { payload: 'bytes' }).publish(payload)
      this.relaxed.set(Number(position), payload.toString('latin1'))
    }
  }

  /** Accepts deliveries, and notes what is checkpointed, until there were so many. */
  async read(bus: Bus, count: number): Promise<void> {
    const subscription = bus
      .channel('strict', { payload: 'bytes' })
      .subscribe({ cursor: { name: 'billing', checkpoint: 'explicit' }, from: 'earliest', accept: 'explicit' })
    let left = count
    for await (const delivery of subscription) {
      delivery.accept()
      if (--left % 8 > 0) continue
      await subscription.checkpoint()
      this.checkpoints.push({ at: this.now, position: Number(delivery.position) + 1 })
      if (left === 0) break
    }
  }

  /** One request after the other, of one step each. */
  async converse(bus: Bus, life: string, count: number): Promise<void> {
    const responder = bus.respond('order', async (request, context) => {
      const output = await context.step('charge', ({ token }) => token)
      this.steps.push({ at: this.now, request: String(request), output })
      return output
    })
    await responder.ready()
    const conversation = await bus.converse('order', { durable: true, key: 'one' })
    for (let number = 0; number < count; number++) {
      const request = `${life}-${number}`
      await conversation.request(request, { requestId: request })
    }
  }

  /** @throws Error if something that was promised when so much had happened is not there. */
  verify(found: Found, at: number): void {
    const acknowledged = this.acknowledged.filter((promise) => promise.at <= at)
    for (const { key, position } of acknowledged) expect(found.log[position], key).toBe(this.published.get(position))
    // What nobody was told of may be there too, but nothing else.
    for (const [position, payload] of found.log.entries()) {
      const published = this.published.get(position)
      if (published !== undefined) expect(payload).toBe(published)
    }
    expect(found.again).toEqual(acknowledged.map(({ position }) => [position, true]))
    const checkpoint = this.checkpoints.findLast((promise) => promise.at <= at)
    if (checkpoint !== undefined) expect(found.cursors[0]).toBeGreaterThanOrEqual(checkpoint.position)
    expect(found.replies).toEqual(this.steps.filter((promise) => promise.at <= at).map(({ output }) => output))
    // A relaxed store may have less or be damaged. What it has is what was published.
    if (typeof found.relaxed === 'string') expect(['STORE_CORRUPT', 'CHANNEL_NOT_FOUND']).toContain(found.relaxed)
    else for (const [position, payload] of found.relaxed.entries()) expect(payload).toBe(this.relaxed.get(position))
  }
}

/** A copy of the directory as the disk has it when the power fails after so much: these files of it. */
async function cutAt(disk: Disk, at: number, random: Random | null, files: readonly string[]): Promise<string> {
  const directory = join(await temporaryDirectory(), 'data')
  await cp(disk.directory, directory, { recursive: true })
  for (const file of [STRICT, RELAXED]) {
    const path = join(directory, file)
    const image = files.includes(file) ? disk.platter.image(file, at, random) : null
    await rm(`${path}-lock`, { force: true })
    if (image !== null && image.length > 0) await writeFile(path, image)
    else await rm(dirname(path), { recursive: true, force: true })
  }
  return directory
}

/** A process that opens directories. */
function reader() {
  const child = spawn(process.execPath, [READER], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return async (directory: string, keys: readonly string[], requests: readonly string[]): Promise<Found> => {
    child.stdin.write(`${JSON.stringify({ directory, keys, requests })}\n`)
    const { value, done } = await lines.next()
    if (done) throw new Error(`The process that opened ${directory} is gone.`)
    const found: Found | { readonly failed: string } = JSON.parse(value)
    if ('failed' in found) throw new Error(found.failed)
    return found
  }
}

const where = NO_SHIM === null ? '' : ` (not here: ${NO_SHIM})`

describe.skipIf(NO_SHIM !== null)(`power that fails, seed ${SEED}${where}`, () => {
  it('at any moment takes nothing with it that somebody was told', async () => {
    const random = generator(SEED)
    const disk = await Disk.make()
    const options: BusOptions = { dataDir: disk.directory, channels: CHANNELS }
    const promises = new Promises(disk)
    const first = await serve(options, disk)
    const start = promises.now
    await Promise.all([
      promises.publish(first.bus, 0, 0, 40, 8),
      promises.publish(first.bus, 1, 0, 20, 1),
      promises.read(first.bus, 40),
      promises.converse(first.bus, 'first', 8),
    ])
    // The process is killed while it waits for the disk; what it has written is with the system.
    disk.hold(STRICT)
    const unheard = promises.publish(first.bus, 0, 40, 48, 8).catch(() => undefined)
    for (let passed = random(2); passed > 0; passed--) (await disk.held()).pass()
    await disk.held()
    await first.server.kill()
    await unheard
    disk.release()

    const second = await serve(options, disk)
    await Promise.all([
      promises.publish(second.bus, 0, 40, 80, 8),
      promises.publish(second.bus, 1, 20, 40, 1),
      promises.publishRelaxed(second.bus, 40),
      promises.converse(second.bus, 'second', 8),
    ])
    await second.server.kill()
    const look = reader()
    for (let cut = 0; cut < CUTS; cut++) {
      const at = start + random(promises.now - start + 1)
      // The other store is not looked at every time, which is most of the work.
      const directory = await cutAt(disk, at, random, cut % 4 === 0 ? [STRICT, RELAXED] : [STRICT])
      const keys = promises.acknowledged.filter((promise) => promise.at <= at).map(({ key }) => key)
      const requests = promises.steps.filter((promise) => promise.at <= at).map(({ request }) => request)
      promises.verify(await look(directory, keys, requests), at)
    }
  }, 120_000)

  it('does not take what the next process was believed to have: it syncs what the one before it had only written', async () => {
    const disk = await Disk.make()
    const options: BusOptions = { dataDir: disk.directory, channels: CHANNELS }
    const key = { idempotencyKey: 'order' }
    const first = await serve(options, disk)
    await first.bus.channel('strict').publish('first')
    disk.hold(STRICT)
    const unheard = first.bus
      .channel('strict')
      .publish('order', key)
      .catch(() => undefined)
    ;(await disk.held()).pass()
    expect((await disk.held()).of).toBe('write')
    await first.server.kill()
    await unheard

    const server = new DurableServer(options, disk)
    onTestFinished(() => server.kill())
    const sync = await disk.held()
    expect(sync.of).toBe('file')
    sync.pass()
    disk.release()
    const bus = await connect(await server.url(), { reconnect: false })
    onTestFinished(() => bus.close())
    expect(await bus.channel('strict').publish('order', key)).toMatchObject({ position: 1n, duplicate: true })
    const found = await reader()(await cutAt(disk, disk.platter.length, null, [STRICT]), [], [])
    expect(found.log).toEqual(['"first"', '"order"'])
  })
})
