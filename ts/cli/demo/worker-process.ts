import { connect } from '../../client/index.ts'
import { Parent } from '../parent.ts'
import { QUOTE, type Quote, type QuoteRequest, type WorkerDown, type WorkerUp } from './messages.ts'

let finish: () => void = () => undefined

const parent = new Parent<WorkerDown, WorkerUp>((message) => {
  switch (message.type) {
    case 'start':
      serve(message.url, message.name).catch(parent.fail)
      break
    case 'finish':
      finish()
  }
})

async function serve(url: string, name: string): Promise<void> {
  const bus = await connect(url)
  const responder = bus.respond<QuoteRequest>(QUOTE, async ({ item, think }): Promise<Quote> => {
    if (think) {
      const told = new Promise<void>((resolve) => {
        finish = resolve
      })
      parent.tell({ type: 'working', on: item })
      await told
    }
    return { item, cents: 100 * item.length, by: name }
  })
  await responder.ready()
  parent.tell({ type: 'ready' })
}
