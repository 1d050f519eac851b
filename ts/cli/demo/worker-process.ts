import { connect } from '../../client/index.ts'
import { Parent } from '../parent.ts'
import { QUOTE, type Quote, type QuoteRequest, type WorkerDown, type WorkerUp } from './messages.ts'

const parent = new Parent<WorkerDown, WorkerUp>((message) => {
  serve(message.url, message.name).catch(parent.fail)
})

async function serve(url: string, name: string): Promise<void> {
  const bus = await connect(url)
  const responder = bus.respond<QuoteRequest>(QUOTE, async ({ item, think }, { attempt, signal }): Promise<Quote> => {
    if (think && attempt === 1) {
      parent.tell({ type: 'working', on: item })
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    }
    return { item, cents: 100 * item.length, by: name }
  })
  await responder.ready()
  parent.tell({ type: 'ready' })
}
