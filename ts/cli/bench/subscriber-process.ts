import type { Delivery } from '../../bus/index.ts'
import { connect } from '../../client/index.ts'
import { Parent } from '../parent.ts'
import { Histogram } from './histogram.ts'
import { peakRssBytes, type SubscriberDown, type SubscriberUp } from './messages.ts'
import { LAST, RunClock, SampleReader } from './sample.ts'
import { Tally } from './tally.ts'

const PROGRESS_MS = 200

const parent = new Parent<SubscriberDown, SubscriberUp>((assignment) => {
  subscribe(assignment).catch(parent.fail)
})

async function subscribe({ url, authToken, name, run, size, sizes, epoch }: SubscriberDown): Promise<void> {
  const bus = await connect(url, { reconnect: false, ...(authToken === null ? {} : { authToken }) })
  const clock = new RunClock(epoch)
  const reader = new SampleReader(size)
  const tally = new Tally(sizes)
  const latency = new Histogram()
  let endedAt = 0
  let finished = 0

  const take = (payload: Uint8Array, now: number) => {
    const sample = reader.read(payload)
    if (sample === null) tally.corrupt()
    else if (sample.run === run) {
      if (sample.kind === LAST) finished += 1
      else {
        tally.arrived(sample.source, sample.sequence)
        latency.record(RunClock.between(sample.sentAt, now))
      }
    }
  }
  const allFinished = new Promise<void>((resolve) => {
    const subscription = bus
      .channel<Uint8Array>(name, { payload: 'bytes' })
      .subscribe((deliveries: readonly Delivery<Uint8Array>[]) => {
        const now = clock.microseconds()
        for (const delivery of deliveries) take(delivery.bytes, now)
        if (finished < sizes.length) endedAt = clock.milliseconds()
        else resolve()
      })
    subscription.closed.catch(parent.fail)
    subscription.ready().then(() => parent.tell({ type: 'ready' }), parent.fail)
  })

  const progress = setInterval(() => parent.tell({ type: 'progress', received: tally.received }), PROGRESS_MS)
  await allFinished
  clearInterval(progress)
  parent.tell({
    type: 'done',
    counts: tally.counts(),
    latency: latency.toCounts(),
    endedAt,
    peakRssBytes: peakRssBytes(),
  })
}
