import { DeliveryBlock, SubscriptionQueue, type SubscriptionQueueOptions } from '../../ts/bus/index.ts'
import { Column, encode, ROW_WIDTH } from '../../ts/codec/index.ts'

/** A queue of numbers and what its owner hears from it. */
export interface NumberQueue {
  readonly queue: SubscriptionQueue<number>
  /** `mark/epoch` of each step of acceptance. */
  readonly accepted: string[]
  /** What was pending after each take. */
  readonly pending: number[]
  readonly closes: { count: number }
}

export function numberQueue(options: Partial<SubscriptionQueueOptions<number>> = {}): NumberQueue {
  const accepted: string[] = []
  const pending: number[] = []
  const closes = { count: 0 }
  const queue: SubscriptionQueue<number> = new SubscriptionQueue<number>({
    channel: 'ticks',
    payload: 'json',
    maxInFlight: 1_024,
    accept: 'auto',
    handler: null,
    onAccept: (mark, epoch) => accepted.push(`${mark}/${epoch}`),
    onTake: () => pending.push(queue.pending),
    onClose: () => {
      closes.count++
    },
    ...options,
  })
  return { queue, accepted, pending, closes }
}

/** Bytes of an envelope that says nothing but its payload: schema id, causal context with its length, length of the payload. */
const ENVELOPE_HEAD = 32 + 4 + 2 + 4
/** What stands before the envelope in a Deliver frame: header, sequence, length of the envelope. */
const FRAME_HEAD = 10 + 8 + 4

/** Pushes values as Deliver frames, whose sequence is the value. `flags` makes them frames of a log, with these flags. */
export function pushNumbers(
  queue: SubscriptionQueue<number>,
  values: readonly number[],
  epoch = 0,
  flags: number | null = null,
): void {
  const frames = values.map((value) =>
    encode({
      type: 'Deliver',
      flags: flags ?? 0,
      streamId: 1,
      deliverySeq: BigInt(value),
      envelope: {
        schemaId: new Uint8Array(32),
        causal: { parentId: null, vectorClockEntry: null },
        payload: Buffer.from(String(value)),
      },
    }),
  )
  const columns = new Int32Array(frames.length * ROW_WIDTH)
  let start = 0
  frames.forEach((frame, index) => {
    const payload = FRAME_HEAD + ENVELOPE_HEAD
    columns[index * ROW_WIDTH + Column.ENVELOPE] = start + FRAME_HEAD
    columns[index * ROW_WIDTH + Column.PAYLOAD] = start + payload
    columns[index * ROW_WIDTH + Column.PAYLOAD_LENGTH] = frame.length - payload
    start += frame.length
  })
  const positions = flags === null ? null : 'frames'
  queue.push(new DeliveryBlock(queue, Buffer.concat(frames), epoch, null, positions), columns, 0, frames.length, 0)
}
