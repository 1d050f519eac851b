import { Crew } from './crew.ts'
import type { PublisherDown, PublisherUp, SubscriberDown, SubscriberUp } from './messages.ts'
import { type BenchOptions, type BenchReport, checkOf, reportOf, sizesOf } from './report.ts'

export interface BenchPubSubOptions extends BenchOptions {
  /** Whether each publish waits for its receipt (`publish`) or goes without one (`send`). */
  readonly acknowledged: boolean
}

/**
 * Measures publish and subscribe between real processes, and checks that every message reaches every subscriber, once, whole, and in the order of its publisher.
 *
 * @throws LiminalError `TIMEOUT` if it stalls, `ABORTED`, `INVALID_ARGUMENT`, or what ended one of the processes.
 */
export async function benchPubSub(options: BenchPubSubOptions): Promise<BenchReport> {
  const sizes = sizesOf(options.messages, options.publishers)
  const expected = options.messages * options.subscribers
  return Crew.run(options, sizes, async (crew) => {
    const subscribers = Array.from({ length: options.subscribers }, (_, index) =>
      crew.start<SubscriberDown, SubscriberUp>(`subscriber ${index + 1}`, './subscriber-process.js'),
    )
    await Promise.all(subscribers.map((child) => child.request({ type: 'prepare', ...crew.assignment }, 'ready')))
    for (const child of subscribers) {
      child.listen((message) => {
        if (message.type === 'progress') crew.advanced(child, message.received, expected)
      })
    }
    const { acknowledged, inFlight } = options
    const publishers = sizes.map((_, source) => ({
      source,
      child: crew.start<PublisherDown, PublisherUp>(`publisher ${source + 1}`, './publisher-process.js'),
    }))
    await Promise.all(
      publishers.map(({ child, source }) =>
        child.request({ type: 'prepare', acknowledged, source, inFlight, ...crew.assignment }, 'ready'),
      ),
    )

    const before = await crew.usage()
    crew.watch()
    const [published, arrived] = await Promise.all([
      Promise.all(publishers.map(({ child }) => child.request({ type: 'go' }, 'done'))),
      Promise.all(subscribers.map((child) => child.expect('done'))),
    ])
    const after = await crew.usage()

    const startedAt = Math.min(...published.map((done) => done.startedAt))
    const endedAt = Math.max(...arrived.map((done) => done.endedAt))
    const seconds = (endedAt - startedAt) / 1_000
    const check = checkOf(
      arrived.map(({ counts }) => counts),
      expected,
    )
    return reportOf(options, {
      benchmark: 'pubsub',
      mode: acknowledged ? 'acknowledged' : 'unacknowledged',
      serverCodec: crew.serverCodec,
      seconds,
      check,
      before,
      after,
      latencies: arrived,
      publishers: published,
      subscribers: arrived,
    })
  })
}
