import { PackedDelivery, SubscriptionQueue, type SubscriptionQueueOptions } from '../../ts/bus/index.ts'

/** A queue of numbers and what its owner hears from it. */
export interface NumberQueue {
  readonly queue: SubscriptionQueue<number>
  /** `position/epoch` of each step of acceptance. */
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
    onAccept: (position, epoch) => accepted.push(`${position}/${epoch}`),
    onTake: () => pending.push(queue.pending),
    onClose: () => {
      closes.count++
    },
    ...options,
  })
  return { queue, accepted, pending, closes }
}

/** Pushes values, whose sequence is the value. */
export function pushNumbers(queue: SubscriptionQueue<number>, values: readonly number[], epoch = 0): void {
  queue.push(
    values.map((value) => {
      const bytes = Buffer.concat([Buffer.alloc(32 + 4 + 2 + 4), Buffer.from(String(value))])
      bytes[35] = 2
      return new PackedDelivery<number>(queue, bytes, 0, 42, bytes.length - 42, value, epoch, null)
    }),
  )
}
