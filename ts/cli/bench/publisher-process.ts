import type { Channel } from '../../bus/index.ts'
import { connect } from '../../client/index.ts'
import { LiminalError } from '../../errors.ts'
import { Parent } from '../parent.ts'
import { Window } from '../window.ts'
import { type PublisherDown, type PublisherUp, peakRssBytes } from './messages.ts'
import { LAST, RunClock, SAMPLE, SampleWriter } from './sample.ts'

type Prepare = Extract<PublisherDown, { type: 'prepare' }>

let start: () => void = () => undefined
const started = new Promise<void>((resolve) => {
  start = resolve
})

const parent = new Parent<PublisherDown, PublisherUp>((message) => {
  switch (message.type) {
    case 'prepare':
      publish(message).catch(parent.fail)
      break
    case 'go':
      start()
  }
})

async function publish(assignment: Prepare): Promise<void> {
  const { url, authToken, name, run, source, size, sizes, epoch } = assignment
  const bus = await connect(url, { reconnect: false, ...(authToken === null ? {} : { authToken }) })
  const channel = bus.channel<Uint8Array>(name, { payload: 'bytes' })
  const clock = new RunClock(epoch)
  const writer = new SampleWriter(run, source, size, clock)
  parent.tell({ type: 'ready' })
  await started

  const startedAt = clock.milliseconds()
  if (assignment.acknowledged) await publishAll(channel, writer, sizes[source], assignment.inFlight)
  else await sendAll(channel, writer, sizes[source])
  // Acknowledged, so whatever was sent before it has been dealt with.
  await channel.publish(writer.next(0, LAST))
  const { lastError } = channel.sendCounts
  if (lastError !== null) throw lastError
  parent.tell({ type: 'done', startedAt, peakRssBytes: peakRssBytes() })
}

/** Publishes with receipts, `inFlight` at a time. A refusal ends the run. */
async function publishAll(
  channel: Channel<Uint8Array>,
  writer: SampleWriter,
  count: number,
  inFlight: number,
): Promise<void> {
  const underway = new Window(inFlight)
  const acknowledge = () => underway.leave()
  for (let sequence = 0; sequence < count; sequence++) {
    if (underway.full) await underway.room()
    underway.enter()
    channel.publish(writer.next(sequence, SAMPLE)).then(acknowledge, parent.fail)
  }
  await underway.empty()
}

/** Publishes without receipts, as fast as there is room. The channel counts what is refused. */
async function sendAll(channel: Channel<Uint8Array>, writer: SampleWriter, count: number): Promise<void> {
  for (let sequence = 0; sequence < count; ) {
    try {
      channel.send(writer.next(sequence, SAMPLE))
      sequence += 1
    } catch (error) {
      if (!(error instanceof LiminalError && error.code === 'OUTBOX_FULL')) throw error
      await channel.ready()
    }
  }
}
