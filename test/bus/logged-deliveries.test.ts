import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { type Delivery, DeliveryBlock } from '../../ts/bus/index.ts'
import { Column, ROW_WIDTH } from '../../ts/codec/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { NO_SCHEMA } from '../../ts/protocol/index.ts'
import { numbers } from '../conformance/tools.ts'
import { type NumberQueue, numberQueue, pushNumbers } from './queues.ts'

function iterate(queue: NumberQueue['queue']): AsyncIterator<Delivery<number>, undefined> {
  return queue.subscription[Symbol.asyncIterator]()
}

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** Bytes of the heap that somebody holds. */
function heapBytes(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

/** The mark of a sequence and its flags, and the epoch. */
function step(sequence: number, flags = 0, epoch = 0): string {
  return `${sequence * 256 + flags}/${epoch}`
}

describe('deliveries of a log', () => {
  it('say their positions and attempts, and count without gaps, as their frames say', async () => {
    const { queue, accepted } = numberQueue()
    pushNumbers(queue, [8, 11], 0, 0)
    pushNumbers(queue, [9], 0, 2)
    const taker = iterate(queue)
    const seen: unknown[] = []
    for (let left = 3; left > 0; left--) {
      const { value } = await taker.next()
      seen.push([value?.position, value?.attempt, value?.sequence])
    }
    expect(seen).toEqual([
      [7n, 1, 1n],
      [10n, 1, 2n],
      [8n, 3, 3n],
    ])
    expect(accepted).toEqual([step(8), step(11)])
  })

  it('follow the first of their block in process', async () => {
    const { queue, accepted } = numberQueue({ handler: (batch) => void seen.push(...batch) })
    const seen: Delivery<number>[] = []
    const columns = new Int32Array(3 * ROW_WIDTH)
    for (let row = 0; row < 3; row++) columns[row * ROW_WIDTH + Column.PAYLOAD_LENGTH] = 1
    const log = (first: bigint, attempt: number) =>
      new DeliveryBlock(queue, Buffer.from('111'), 0, NO_SCHEMA, { first, attempt })
    queue.push(log(40n, 1), columns, 0, 3, 0)
    queue.push(log(7n, 300), columns, 0, 2, 0)
    await new Promise(setImmediate)
    expect(seen.map(({ position, attempt, sequence }) => [position, attempt, sequence])).toEqual([
      [40n, 1, 1n],
      [41n, 1, 2n],
      [42n, 1, 3n],
      [7n, 300, 4n],
      [8n, 300, 5n],
    ])
    expect(accepted).toEqual([step(9, 255)])
  })

  it('have no position and the first attempt without a log', async () => {
    const { queue } = numberQueue()
    pushNumbers(queue, [5])
    const { value } = await iterate(queue).next()
    expect([value?.position, value?.attempt, value?.sequence]).toEqual([null, 1, 5n])
  })
})

describe('the queue of a subscription that accepts each', () => {
  it('makes room by each acceptance alone, in any order', async () => {
    const { queue, accepted } = numberQueue({ accept: 'each', maxInFlight: 2 })
    pushNumbers(queue, [1, 2, 3, 4], 0, 0)
    const taker = iterate(queue)
    await taker.next()
    const second = (await taker.next()).value
    const third = taker.next()
    second?.accept()
    second?.accept()
    expect((await third).value?.value).toBe(3)
    expect(accepted).toEqual([step(2)])
  })
})

describe('a delivery that is handed back', () => {
  it('is told to its owner once, makes room, and stays out of what was accepted before', async () => {
    const rejected: unknown[] = []
    const { queue, accepted } = numberQueue({
      accept: 'explicit',
      maxInFlight: 2,
      onReject: (mark, epoch, ordinal, options) => rejected.push([`${mark}/${epoch}`, ordinal, options]),
    })
    pushNumbers(queue, [1, 2, 3, 4], 0, 0)
    const taker = iterate(queue)
    await taker.next()
    const second = (await taker.next()).value
    second?.reject({ reason: 'not now', delayMs: 5 })
    second?.reject()
    const third = (await taker.next()).value
    third?.accept()
    // What a later acceptance has passed is no longer anybody's to hand back.
    second?.reject()
    third?.reject()
    expect(rejected).toEqual([[step(2), 2, { reason: 'not now', delayMs: 5 }]])
    expect(accepted).toEqual([step(3)])
    expect((await taker.next()).value?.value).toBe(4)
  })

  it('is never named as accepted: what was handed out before it is', async () => {
    const handled: Delivery<number>[] = []
    const { queue, accepted } = numberQueue({
      handler: (batch) => {
        handled.push(...batch)
        for (const delivery of batch) if (delivery.value >= 2) delivery.reject()
      },
      onReject: () => {},
    })
    pushNumbers(queue, [1, 2, 3], 0, 0)
    await new Promise(setImmediate)
    expect(accepted).toEqual([step(1)])
    pushNumbers(queue, [4, 5], 0, 0)
    await new Promise(setImmediate)
    expect(handled).toHaveLength(5)
    expect(accepted).toEqual([step(1)])
    pushNumbers(queue, [1], 1, 7)
    await new Promise(setImmediate)
    expect(accepted).toEqual([step(1), step(1, 7, 1)])
  })

  it('leaves nothing behind, even where one before it is never answered', async () => {
    const rounds = 300
    const each = 1_000
    const { queue, accepted } = numberQueue({ accept: 'explicit', maxInFlight: 2, onReject: () => {}, onTake: null })
    pushNumbers(queue, [1], 0, 0)
    const taker = iterate(queue)
    const first = (await taker.next()).value
    const values = numbers(each).map((value) => value + 2)
    let before = 0
    for (let round = 0; round < rounds; round++) {
      pushNumbers(queue, values, 0, 1)
      for (let left = each; left > 0; left--) (await taker.next()).value?.reject()
      if (round === 0) before = heapBytes()
    }
    expect(heapBytes() - before).toBeLessThan(2 * 1024 * 1024)
    first?.accept()
    expect(accepted).toEqual([step(1)])
    pushNumbers(queue, [5], 0, 2)
    const last = (await taker.next()).value
    last?.accept()
    expect(accepted).toEqual([step(1), step(5, 2)])
  })

  it('takes no lease and no second answer, nor does what is accepted before it', async () => {
    const heard: string[] = []
    const { queue, accepted } = numberQueue({
      accept: 'explicit',
      maxInFlight: 3,
      onReject: (mark) => heard.push(`rejected ${(mark - (mark % 256)) / 256}`),
      onExtend: (mark) => heard.push(`extended ${(mark - (mark % 256)) / 256}`),
    })
    pushNumbers(queue, [1, 2, 3], 0, 0)
    const taker = iterate(queue)
    const [first, second, third] = [await taker.next(), await taker.next(), await taker.next()].map(
      ({ value }) => value,
    )
    second?.reject()
    third?.extend()
    first?.reject()
    for (const delivery of [first, second]) {
      delivery?.reject()
      delivery?.extend()
      delivery?.accept()
    }
    third?.accept()
    third?.extend()
    expect(heard).toEqual(['rejected 2', 'extended 3', 'rejected 1'])
    expect(accepted).toEqual([step(3)])
  })

  it('is accepted where nobody takes it back', async () => {
    const { queue, accepted } = numberQueue({ accept: 'explicit' })
    pushNumbers(queue, [1], 0, 0)
    const { value } = await iterate(queue).next()
    value?.reject()
    expect(accepted).toEqual([step(1)])
  })

  it.each([[{ reason: 'x'.repeat(1_025) }], [{ delayMs: -1 }], [{ delayMs: 0.5 }], [{ delay: 5 }]])(
    'wants options that it knows: %j',
    async (options) => {
      const { queue } = numberQueue({ onReject: () => {} })
      pushNumbers(queue, [1], 0, 0)
      const { value } = await iterate(queue).next()
      const given: object = options
      expect(() => value?.reject(given)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    },
  )
})

describe('the lease of a delivery', () => {
  it('begins anew only while it is not answered', async () => {
    const extended: string[] = []
    const { queue } = numberQueue({
      accept: 'explicit',
      onExtend: (mark, epoch) => extended.push(`${mark}/${epoch}`),
    })
    pushNumbers(queue, [1], 3, 1)
    const { value } = await iterate(queue).next()
    value?.extend()
    value?.accept()
    value?.extend()
    expect(extended).toEqual([step(1, 1, 3)])
  })
})

describe('a checkpoint', () => {
  it("is its owner's while the subscription lasts, and fails with what ended it", async () => {
    let written = 0
    const { queue } = numberQueue({ onCheckpoint: async () => void written++ })
    await queue.subscription.checkpoint()
    expect(written).toBe(1)
    queue.fail(new LiminalError('CURSOR_FENCED', 'Somebody else has it.'))
    await expect(queue.subscription.checkpoint()).rejects.toMatchObject({ code: 'CURSOR_FENCED' })
    const closed = numberQueue().queue
    await closed.subscription.checkpoint()
    await closed.subscription.close()
    await expect(closed.subscription.checkpoint()).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

describe('what waits in a queue', () => {
  it('is dropped when it will come again', async () => {
    const { queue } = numberQueue()
    pushNumbers(queue, [1, 2, 3], 0, 0)
    const taker = iterate(queue)
    await taker.next()
    expect(queue.pushed).toBe(3)
    queue.discard()
    expect([queue.pushed, queue.pending, queue.pendingBytes]).toEqual([1, 0, 0])
    pushNumbers(queue, [2], 1, 1)
    const { value } = await taker.next()
    expect([value?.value, value?.sequence, value?.attempt]).toEqual([2, 2n, 2])
  })

  it('is not handed out when the subscriber ends it, or its handler throws', async () => {
    const said: string[] = []
    const heard = {
      onHandOut: (deliveries: readonly { readonly position: bigint | null }[]) =>
        void said.push(deliveries.map(({ position }) => `${position}`).join()),
      onClose: () => void said.push('closed'),
    }
    const { queue } = numberQueue(heard)
    pushNumbers(queue, [1, 2], 0, 0)
    pushNumbers(queue, [1], 0, 1)
    await iterate(queue).next()
    await queue.subscription.close()
    await queue.subscription.close()
    expect(said).toEqual(['0', 'closed'])
    expect(queue.pending).toBe(0)
    const handler = (): never => {
      throw new Error('cannot bill this')
    }
    const failing = numberQueue({ ...heard, maxInFlight: 2, handler }).queue
    pushNumbers(failing, [1, 2, 3, 4], 0, 0)
    await expect(failing.subscription.closed).rejects.toThrow('cannot bill this')
    expect(said).toEqual(['0', 'closed', '0,1', 'closed'])
    expect(failing.pending).toBe(0)
  })
})
