import { setTimeout as pass } from 'node:timers/promises'
import type { Child } from '../process/child.ts'
import { memoryBytes } from '../process/usage.ts'
import type { Workload } from '../workloads.ts'
import { costOf, costPerMessage } from './cost.ts'
import type { Crew } from './crew.ts'
import type { Effort, Metrics } from './measurement.ts'

/** Reports of progress for each window: the publisher learns of room long before it has none. */
const REPORTS_PER_WINDOW = 8

type Of<Kind extends Workload['kind']> = Extract<Workload, { kind: Kind }>

/** Runs a workload once and measures it. @throws Error if a message is lost, repeated, out of order or changed, or anything breaks down. */
export function perform(crew: Crew, workload: Workload, effort: Effort): Promise<Metrics> {
  switch (workload.kind) {
    case 'stream':
      return stream(crew, workload, effort)
    case 'ask':
      return ask(crew, workload, effort)
    case 'durable':
      return durable(crew, workload, effort)
    case 'idle':
      return idle(crew, workload, effort)
  }
}

async function stream(crew: Crew, workload: Of<'stream'>, effort: Effort): Promise<Metrics> {
  const { size, subscribers: connections, inFlight, window, burst } = workload
  const { acknowledged } = crew.system
  const [subscriber, publisher] = await Promise.all([
    crew.start(
      {
        kind: 'subscriber',
        connections,
        form: acknowledged ? 'iterator' : 'fastest',
        stride: window / REPORTS_PER_WINDOW,
      },
      size,
    ),
    crew.start(
      {
        kind: 'publisher',
        form: acknowledged ? 'acknowledged' : workload.form,
        inFlight,
        window,
        burst,
        subscribers: connections,
      },
      size,
    ),
  ])
  subscriber.onProgress((through) => publisher.tell({ type: 'progress', through }))
  const phase = (seconds: number) => {
    const over = Promise.all([publisher.expect('published'), subscriber.expect('finished')])
    return crew.phase(publisher, { seconds, messages: effort.messages }, over, subscriber)
  }

  const [warm] = await phase(effort.warmUpSeconds)
  const { result, cost } = await costOf(crew.server, [publisher, subscriber], () => phase(effort.seconds))
  const [published, finished] = result
  await crew.verify(subscriber, warm.messages + published.messages)
  const deliveries = published.messages * connections
  const seconds = (Math.max(finished.endedAt, published.endedAt) - published.startedAt) / 1_000
  // W6 is about bytes.
  const counted = size < 4_096 ? deliveries : (deliveries * size) / 1e6
  return {
    rate: counted / seconds,
    ...published.latency,
    ...costPerMessage(cost, deliveries),
    ...crew.peaks(publisher, subscriber),
  }
}

async function ask(crew: Crew, { size, inFlight }: Of<'ask'>, effort: Effort): Promise<Metrics> {
  const responder = await crew.start({ kind: 'responder' }, size)
  const asker = await crew.start({ kind: 'asker', inFlight }, size)
  const phase = (seconds: number) =>
    crew.phase(asker, { seconds, messages: effort.messages }, asker.expect('published'), asker)

  const warm = await phase(effort.warmUpSeconds)
  const { result, cost } = await costOf(crew.server, [asker, responder], () => phase(effort.seconds))
  await crew.verify(asker, warm.messages + result.messages)
  await crew.verify(responder, warm.messages + result.messages)
  return {
    rate: rateOf(result),
    ...result.latency,
    ...costPerMessage(cost, result.messages),
    ...crew.peaks(asker, responder),
  }
}

async function durable(crew: Crew, { size, inFlight }: Of<'durable'>, effort: Effort): Promise<Metrics> {
  const publisher = await crew.start(
    { kind: 'publisher', form: 'durable', inFlight, window: null, burst: inFlight, subscribers: 0 },
    size,
  )
  const phase = (seconds: number) =>
    crew.phase(publisher, { seconds, messages: effort.messages }, publisher.expect('published'), publisher)

  const warm = await phase(effort.warmUpSeconds)
  const { result, cost } = await costOf(crew.server, [publisher], () => phase(effort.seconds))
  const peaks = crew.peaks(publisher, null)
  await readBack(crew, size, warm.messages + result.messages, effort)
  return { rate: rateOf(result), ...result.latency, ...costPerMessage(cost, result.messages), ...peaks }
}

/** What was acknowledged must be there, all of it and in order. */
async function readBack(crew: Crew, size: number, messages: number, { seconds }: Effort): Promise<void> {
  const reader = await crew.start({ kind: 'reader' }, size)
  await crew.phase(reader, { seconds, messages }, reader.expect('finished'), reader)
  await crew.verify(reader, messages)
}

async function idle(crew: Crew, { connections }: Of<'idle'>, effort: Effort): Promise<Metrics> {
  const idler = await crew.start({ kind: 'idler' }, 128)
  // The first connection makes a server load and allocate what all of them share.
  await open(idler, 1)
  const before = memoryBytes(crew.server.pid).resident
  await open(idler, connections)
  await pass(effort.settleSeconds * 1_000)
  const { cost } = await costOf(crew.server, [], () => pass(effort.idleSeconds * 1_000))
  const after = memoryBytes(crew.server.pid).resident
  return {
    rate: connections,
    connectionMemory: (after - before) / 1_024 / connections,
    idleCpu: cost.server / cost.seconds,
    ...crew.peaks(null, null),
    ...cost.noise,
  }
}

async function open(idler: Child, connections: number): Promise<void> {
  await idler.request({ type: 'open', connections }, 'opened')
}

function rateOf({ messages, startedAt, endedAt }: { messages: number; startedAt: number; endedAt: number }): number {
  return (messages * 1_000) / (endedAt - startedAt)
}
