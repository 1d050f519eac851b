import type { Bus } from '../../bus/index.ts'
import { connect } from '../../client/index.ts'
import { Parent } from '../parent.ts'
import { Window } from '../window.ts'
import { Histogram } from './histogram.ts'
import { type AskerDown, type AskerUp, peakRssBytes } from './messages.ts'
import { RunClock, SAMPLE, SampleReader, SampleWriter } from './sample.ts'
import { Tally } from './tally.ts'

type Prepare = Extract<AskerDown, { type: 'prepare' }>

const PROGRESS_MS = 200
// A responder that is this late is stuck.
const REPLY_TIMEOUT_MS = 60_000

let start: () => void = () => undefined
const started = new Promise<void>((resolve) => {
  start = resolve
})

const parent = new Parent<AskerDown, AskerUp>((message) => {
  switch (message.type) {
    case 'prepare':
      prepare(message).catch(parent.fail)
      break
    case 'go':
      start()
  }
})

async function prepare(assignment: Prepare): Promise<void> {
  const { url, authToken } = assignment
  const bus = await connect(url, { reconnect: false, ...(authToken === null ? {} : { authToken }) })
  parent.tell({ type: 'ready' })
  await started
  await askAll(bus, assignment)
}

/** Asks `inFlight` at a time and checks that each reply is the one to its request. */
async function askAll(bus: Bus, { name, run, source, size, sizes, epoch, inFlight }: Prepare): Promise<void> {
  const clock = new RunClock(epoch)
  const writer = new SampleWriter(run, source, size, clock)
  const reader = new SampleReader(size)
  const tally = new Tally(sizes)
  const latency = new Histogram()
  const underway = new Window(inFlight)
  const options = { payload: 'bytes', timeoutMs: REPLY_TIMEOUT_MS } as const
  const progress = setInterval(() => parent.tell({ type: 'progress', received: tally.received }), PROGRESS_MS)

  const startedAt = clock.milliseconds()
  for (let sequence = 0; sequence < sizes[source]; sequence++) {
    if (underway.full) await underway.room()
    underway.enter()
    bus.ask<Uint8Array>(name, writer.next(sequence, SAMPLE), options).then((reply) => {
      const sample = reader.read(reply)
      if (sample?.run !== run || sample.source !== source || sample.sequence !== sequence) tally.corrupt()
      else {
        tally.arrived(source, sequence)
        latency.record(RunClock.between(sample.sentAt, clock.microseconds()))
      }
      underway.leave()
    }, parent.fail)
  }
  await underway.empty()
  clearInterval(progress)
  parent.tell({
    type: 'done',
    counts: tally.counts(),
    latency: latency.toCounts(),
    startedAt,
    endedAt: clock.milliseconds(),
    peakRssBytes: peakRssBytes(),
  })
}
