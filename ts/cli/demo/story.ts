import type { Delivery } from '../../bus/index.ts'
import type { RemoteBus } from '../../client/index.ts'
import { LiminalError } from '../../errors.ts'
import type { Child, Message } from '../child.ts'
import { Cast } from './cast.ts'
import { loseServer } from './durable-story.ts'
import {
  ORDERS,
  type Order,
  type PublisherDown,
  type PublisherUp,
  QUOTE,
  type Quote,
  type QuoteRequest,
  type ServerUp,
  type WorkerDown,
  type WorkerUp,
} from './messages.ts'

/** Tells the story: who does something, and what. */
export type Narrator = (who: string, what: string) => void

type Worker = Child<WorkerDown, WorkerUp>

/** So many orders arrive at least before the worker is killed, and as many after. */
const ORDERS_BETWEEN = 500

/**
 * The demo: a server, a publisher and two workers in processes of their own, and a request whose worker is killed in the middle of it: the
 * other one finishes it; then a server that is killed, and a cursor that goes on where it was. Waits for what
 * happens, never for time. No process is left when it settles.
 *
 * @throws LiminalError `ABORTED` by `signal`, or what went wrong.
 */
export async function tellStory(narrate: Narrator, signal: AbortSignal): Promise<void> {
  const cast = new Cast()
  const aborted = new Promise<never>((_, reject) => {
    const abort = () => reject(new LiminalError('ABORTED', 'the demo was interrupted', { cause: signal.reason }))
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
  try {
    await Promise.race([play(cast, narrate), aborted])
  } finally {
    await cast.dismiss()
  }
}

async function play(cast: Cast, narrate: Narrator): Promise<void> {
  const server = cast.start<Message, ServerUp>('server', './server-process.js')
  const { url } = await server.expect('listening')
  narrate('server', `process ${server.pid} listens on ${url}`)

  const workers: readonly Worker[] = await Promise.all(
    ['worker 1', 'worker 2'].map(async (name) => {
      const worker = cast.start<WorkerDown, WorkerUp>(name, './worker-process.js')
      await worker.request({ type: 'start', url, name }, 'ready')
      return worker
    }),
  )
  for (const { name, pid } of workers) narrate(name, `process ${pid} answers the subject "${QUOTE}"`)

  const bus = await cast.connect(url)
  const orders = await OrderCount.start(bus)
  const publisher = cast.start<PublisherDown, PublisherUp>('publisher', './publisher-process.js')
  await publisher.request({ type: 'start', url }, 'ready')
  await orders.more(ORDERS_BETWEEN)
  narrate('publisher', `process ${publisher.pid} publishes orders as fast as they are acknowledged; we subscribe`)

  await loseWorker(bus, workers, narrate)

  await orders.more(ORDERS_BETWEEN)
  const { published } = await publisher.request({ type: 'stop' }, 'stopped')
  const received = await orders.last
  if (received !== published) {
    throw new LiminalError('INTERNAL', `${published} orders were published and ${received} arrived in order`)
  }
  narrate('subscriber', `got all ${published.toLocaleString('en')} orders, in order, not one missing: it never noticed`)

  await loseServer(cast, narrate)
}

/** A request that the worker which has it does not survive. */
async function loseWorker(bus: RemoteBus, workers: readonly Worker[], narrate: Narrator): Promise<void> {
  const pending = bus.dispatch<Quote>(QUOTE, requestFor('telescope', true))
  const working = workers.map(async (worker) => {
    await worker.expect('working')
    return worker
  })
  const chosen = await Promise.race(working)
  narrate('we', `ask for a quote on a telescope; ${chosen.name} works on it`)

  const killedAt = performance.now()
  process.kill(chosen.pid, 'SIGKILL')
  const { value: quote, attempts, reroutedFrom } = await pending
  const milliseconds = (performance.now() - killedAt).toFixed(1)
  await chosen.exited
  narrate(chosen.name, 'is killed with SIGKILL in the middle of it')
  for (const { reason, microseconds } of reroutedFrom) {
    narrate(
      'server',
      `saw the connection end (${reason}), and gave the request on ${Math.round(microseconds)} µs later`,
    )
  }
  narrate(quote.by, `answers the same request, at attempt ${attempts}: a ${quote.item} is ${price(quote)}`)
  narrate('we', `have the reply ${milliseconds} ms after the kill, and asked once`)
}

function requestFor(item: string, think: boolean): QuoteRequest {
  return { item, think }
}

function price({ cents }: Quote): string {
  return `${(cents / 100).toFixed(2)} €`
}

/** Our own subscription to the orders: counts them and insists that none is missing. */
class OrderCount {
  #count = 0
  #arrived: () => void = () => undefined
  #done: (count: number) => void = () => undefined
  #failed: (error: unknown) => void = () => undefined
  /** Resolves with how many came once the last one did; rejects at the first gap. */
  readonly last: Promise<number>

  private constructor() {
    this.last = new Promise((resolve, reject) => {
      this.#done = resolve
      this.#failed = reject
    })
    this.last.catch(() => undefined)
  }

  static async start(bus: RemoteBus): Promise<OrderCount> {
    const count = new OrderCount()
    const subscription = bus.channel<Order>(ORDERS).subscribe((deliveries) => count.#take(deliveries))
    subscription.closed.catch((error: unknown) => count.#failed(error))
    await subscription.ready()
    return count
  }

  /** Resolves when so many more have arrived; rejects if none is to come any more. */
  more(count: number): Promise<void> {
    const wanted = this.#count + count
    const reached = new Promise<void>((resolve) => {
      this.#arrived = () => {
        if (this.#count >= wanted) resolve()
      }
    })
    return Promise.race([reached, this.last.then(() => undefined)])
  }

  #take(deliveries: readonly Delivery<Order>[]): void {
    for (const { value } of deliveries) {
      this.#count += 1
      if (value.id !== this.#count) {
        this.#failed(new LiminalError('INTERNAL', `order ${value.id} came where order ${this.#count} was due`))
      }
      if (value.last) this.#done(this.#count)
    }
    this.#arrived()
  }
}
