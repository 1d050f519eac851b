import { once } from 'node:events'
import { createServer, connect as dial, type Socket } from 'node:net'
import { Writable } from 'node:stream'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Outbox } from '../../ts/pressure/index.ts'

/** Two ends of a real loopback connection. */
async function socketPair(): Promise<{ near: Socket; far: Socket }> {
  const listener = createServer()
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const near = dial(address.port, '127.0.0.1')
  const [far] = (await once(listener, 'connection')) as [Socket]
  if (near.connecting) await once(near, 'connect')
  listener.close()
  return { near, far }
}

async function read(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let total = 0
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk)
    total += chunk.length
    if (total >= length) break
  }
  return Buffer.concat(chunks)
}

describe('Outbox', () => {
  const open: Socket[] = []
  async function pair(): Promise<{ near: Socket; far: Socket }> {
    const sockets = await socketPair()
    open.push(sockets.near, sockets.far)
    for (const socket of [sockets.near, sockets.far]) socket.on('error', () => undefined)
    return sockets
  }
  afterEach(() => {
    for (const socket of open.splice(0)) socket.destroy()
    vi.useRealTimers()
  })

  it('sends what was committed in one turn with one write', async () => {
    const { near, far } = await pair()
    const writes: number[] = []
    const write = near.write.bind(near) as (chunk: Uint8Array, done: () => void) => boolean
    Object.assign(near, {
      write(chunk: Uint8Array, done: () => void) {
        writes.push(chunk.length)
        return write(chunk, done)
      },
    })
    const outbox = new Outbox(near, { capacityBytes: 1 << 20 })
    for (let index = 0; index < 100; index++) outbox.append(Uint8Array.of(index))
    expect(writes).toEqual([])
    const received = await read(far, 100)
    expect([...received]).toEqual(Array.from({ length: 100 }, (_, index) => index))
    expect(writes).toEqual([100])
  })

  it('keeps the order across blocks and frames larger than a block', async () => {
    const { near, far } = await pair()
    const outbox = new Outbox(near, { capacityBytes: 8 << 20 })
    const parts = [10, 70_000, 60_000, 3, 200_000, 65_536, 1].map((length, index) => Buffer.alloc(length, index + 1))
    for (const part of parts) outbox.append(part)
    const expected = Buffer.concat(parts)
    const received = await read(far, expected.length)
    expect(received.equals(expected)).toBe(true)
    await outbox.drained()
    expect(outbox.waitingBytes).toBe(0)
  })

  it('says no above its capacity while the peer does not read, and yes again once it has', async () => {
    const { near, far } = await pair()
    const capacityBytes = 8 << 20
    const outbox = new Outbox(near, { capacityBytes })
    const part = new Uint8Array(1 << 20)
    let sent = 0
    while (outbox.fits(part.length)) {
      outbox.append(part)
      sent += part.length
      await new Promise((resolve) => setImmediate(resolve))
      // The kernel takes some megabytes; what it has not taken never exceeds the capacity.
      expect(outbox.waitingBytes).toBeLessThanOrEqual(capacityBytes)
    }
    expect(outbox.congestion.level).toBe(outbox.waitingBytes)
    far.resume()
    await outbox.drained()
    expect(outbox.fits(part.length)).toBe(true)
    expect(sent).toBeGreaterThanOrEqual(capacityBytes)
  })

  it('gives the socket a part at a time, so that a slow peer shows progress, and the rest when it is finished', async () => {
    const { near, far } = await pair()
    const outbox = new Outbox(near, { capacityBytes: 64 << 20 })
    const large = Buffer.alloc(32 << 20, 7)
    outbox.append(large)
    outbox.append(Uint8Array.of(8))
    outbox.flush()
    // What the kernel did not take waits here, and little of it in the socket.
    expect(near.writableLength).toBeLessThanOrEqual(128 * 1024)
    expect(outbox.waitingBytes).toBeGreaterThan(16 << 20)
    outbox.finish()
    near.end()
    const received = await read(far, large.length + 1)
    expect(received.length).toBe(large.length + 1)
    expect(received.subarray(0, large.length).equals(large)).toBe(true)
    expect(received[large.length]).toBe(8)
  })

  it('sends attached bytes in their place among those copied in, and leaves them where they are', async () => {
    const { near, far } = await pair()
    const outbox = new Outbox(near, { capacityBytes: 64 << 20 })
    const parts: Buffer[] = []
    for (let index = 0; index < 200; index++) {
      const part = Buffer.alloc([1, 40_000, 65_536, 200, 100_000][index % 5], index)
      parts.push(part)
      if (index % 3 === 1) outbox.attach(part)
      else outbox.append(part)
    }
    const expected = Buffer.concat(parts)
    const received = await read(far, expected.length)
    expect(received.equals(expected)).toBe(true)
    await outbox.drained()
    expect(outbox.waitingBytes).toBe(0)
    expect(Buffer.concat(parts).equals(expected)).toBe(true)
  })

  it('never writes into memory that another connection still has to send', async () => {
    const slow = await pair()
    const quick = await pair()
    const slowBox = new Outbox(slow.near, { capacityBytes: 64 << 20 })
    const quickBox = new Outbox(quick.near, { capacityBytes: 64 << 20 })
    quick.far.resume()
    const parts: Buffer[] = []
    // The kernel takes the first megabytes at once, then it takes parts, then nothing; the blocks of both come from one pool.
    for (let index = 0; index < 400; index++) {
      const part = Buffer.alloc(30_000, index)
      parts.push(part)
      slowBox.append(part)
      slowBox.flush()
      quickBox.append(Buffer.alloc(50_000, 0xff))
      quickBox.flush()
      if (index % 10 === 0) await quickBox.drained()
    }
    const expected = Buffer.concat(parts)
    const received = await read(slow.far, expected.length)
    expect(received.equals(expected)).toBe(true)
  })

  it('holds no more memory than waits, however little is written in each turn while the peer does not read', async () => {
    const { near, far } = await pair()
    const outbox = new Outbox(near, { capacityBytes: 64 << 20 })
    const first = Buffer.alloc(16 << 20, 1)
    outbox.append(first)
    await new Promise((resolve) => setImmediate(resolve))
    expect(outbox.waitingBytes).toBeGreaterThan(1 << 20)
    const before = process.memoryUsage().arrayBuffers
    const parts: Buffer[] = [first]
    for (let index = 0; index < 2_000; index++) {
      const part = Buffer.from(`delivery ${index}`.padEnd(100))
      parts.push(part)
      outbox.append(part)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 << 20)
    const expected = Buffer.concat(parts)
    const received = await read(far, expected.length)
    expect(received.equals(expected)).toBe(true)
    await outbox.drained()
    expect(outbox.waitingBytes).toBe(0)
  })

  it('gives its block back when everything has left, also what a slow peer took late', async () => {
    const outboxes: Outbox[] = []
    const confirms: (() => void)[] = []
    const boxed = (): Outbox => {
      const socket = new Writable({
        write(_chunk, _encoding, done) {
          confirms.push(done)
        },
      })
      const outbox = new Outbox(socket, { capacityBytes: 1 << 20 })
      outboxes.push(outbox)
      return outbox
    }
    const blocks = new Set<Uint8Array>()
    for (let index = 0; index < 20; index++) {
      const outbox = boxed()
      outbox.append(new Uint8Array(100))
      blocks.add(outbox.block)
      outbox.flush()
      // Behind what is on its way, in the same block.
      outbox.append(new Uint8Array(100))
      expect(blocks.has(outbox.block)).toBe(true)
      outbox.flush()
      const drained = outbox.drained()
      while (confirms.length > 0) {
        confirms.shift()?.()
        await new Promise((resolve) => setImmediate(resolve))
      }
      await drained
    }
    // One after the other they had the same one.
    expect(blocks.size).toBe(1)
    for (const outbox of outboxes) outbox.close()
  })

  it('gives the socket more at once while that is quick, and little again once it is not', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const confirms: (() => void)[] = []
    let given = 0
    const socket = new Writable({
      highWaterMark: Number.MAX_SAFE_INTEGER,
      writev(chunks, done) {
        given = chunks.reduce((sum, { chunk }) => sum + (chunk as Uint8Array).length, 0)
        confirms.push(done)
      },
    })
    const outbox = new Outbox(socket, { capacityBytes: 64 << 20 })
    outbox.append(new Uint8Array(32 << 20))
    outbox.flush()
    const confirmed = async (tookMs: number): Promise<number> => {
      const confirm = confirms.shift()
      if (confirm === undefined) throw new Error('nothing was written')
      vi.advanceTimersByTime(tookMs)
      confirm()
      while (confirms.length === 0) await new Promise((resolve) => setImmediate(resolve))
      return given
    }
    expect(given).toBe(128 * 1024)
    const quick: number[] = []
    for (let round = 0; round < 6; round++) quick.push(await confirmed(1))
    expect(quick).toEqual([256, 512, 1024, 1024, 1024, 1024].map((kibibytes) => kibibytes * 1024))
    expect(await confirmed(20)).toBe(1024 * 1024)
    expect(await confirmed(100)).toBe(128 * 1024)
    outbox.close()
  })

  it('lets outboxes with little leave first at the end of a turn, and large ones of a crowd before it', async () => {
    const left: string[] = []
    const boxed = (name: string): Outbox => {
      const socket = new Writable({
        write(_chunk, _encoding, done) {
          left.push(name)
          done()
        },
      })
      return new Outbox(socket, { capacityBytes: 64 << 20 })
    }
    const deliveries = boxed('deliveries')
    const answers = boxed('answers')
    deliveries.append(new Uint8Array(60_000))
    answers.append(new Uint8Array(4_000))
    expect(left).toEqual([])
    await new Promise((resolve) => setImmediate(resolve))
    expect(left).toEqual(['answers', 'deliveries'])

    left.length = 0
    for (let index = 0; index < 20; index++) boxed(`subscriber ${index}`).append(new Uint8Array(30_000))
    expect(left).toEqual(Array.from({ length: 12 }, (_, index) => `subscriber ${index + 8}`))
    await new Promise((resolve) => setImmediate(resolve))
    expect(left).toHaveLength(20)
  })

  it('refuses to be written to after it was closed, and releases whoever waits', async () => {
    const { near } = await pair()
    const outbox = new Outbox(near, { capacityBytes: 4 << 20 })
    while (outbox.waitingBytes < 3 << 20) {
      outbox.append(new Uint8Array(1 << 20))
      await new Promise((resolve) => setImmediate(resolve))
    }
    const hold = outbox.congestion.hold()
    const drained = outbox.drained()
    outbox.close()
    await drained
    await hold
    expect(() => outbox.append(new Uint8Array(1))).toThrow(expect.objectContaining({ code: 'CLOSED' }))
  })
})
