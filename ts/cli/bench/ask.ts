import { Crew } from './crew.ts'
import type { AskerDown, AskerUp, ResponderDown, ResponderUp } from './messages.ts'
import { type BenchOptions, type BenchReport, checkOf, reportOf, sizesOf } from './report.ts'

/**
 * Measures requests and replies between real processes (`publishers` ask, `subscribers` respond), and checks that every request reaches one responder once and
 * gets its own reply. Order is no promise here.
 *
 * @throws LiminalError `TIMEOUT` if it stalls, `ABORTED`, `INVALID_ARGUMENT`, or what ended one of the processes.
 */
export async function benchAsk(options: BenchOptions): Promise<BenchReport> {
  const { messages, inFlight } = options
  const sizes = sizesOf(messages, options.publishers)
  return Crew.run(options, sizes, async (crew) => {
    const responders = Array.from({ length: options.subscribers }, (_, index) =>
      crew.start<ResponderDown, ResponderUp>(`responder ${index + 1}`, './responder-process.js'),
    )
    await Promise.all(responders.map((child) => child.request({ type: 'prepare', ...crew.assignment }, 'ready')))
    const askers = sizes.map((_, source) => ({
      source,
      child: crew.start<AskerDown, AskerUp>(`asker ${source + 1}`, './asker-process.js'),
    }))
    await Promise.all(
      askers.map(({ child, source }) =>
        child.request({ type: 'prepare', source, inFlight, ...crew.assignment }, 'ready'),
      ),
    )
    for (const { child } of askers) {
      child.listen((message) => {
        if (message.type === 'progress') crew.advanced(child, message.received, messages)
      })
    }

    const before = await crew.usage()
    crew.watch()
    const asked = await Promise.all(askers.map(({ child }) => child.request({ type: 'go' }, 'done')))
    const answered = await Promise.all(responders.map((child) => child.request({ type: 'count' }, 'count')))
    const after = await crew.usage()

    const startedAt = Math.min(...asked.map((done) => done.startedAt))
    const seconds = (Math.max(...asked.map((done) => done.endedAt)) - startedAt) / 1_000
    const replies = checkOf(
      asked.map(({ counts }) => counts),
      messages,
    )
    const requests = checkOf(
      answered.map(({ counts }) => counts),
      messages,
    )
    const check = {
      ...replies,
      lost: Math.max(replies.lost, requests.lost),
      duplicates: replies.duplicates + requests.duplicates,
      outOfOrder: 0,
      corrupt: replies.corrupt + requests.corrupt,
    }
    return reportOf(options, {
      benchmark: 'ask',
      mode: 'ask',
      serverCodec: crew.serverCodec,
      seconds,
      check,
      before,
      after,
      latencies: asked,
      publishers: asked,
      subscribers: answered,
    })
  })
}
