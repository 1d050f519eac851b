import type { Channel } from '../../bus/index.ts'
import { connect } from '../../client/index.ts'
import { Parent } from '../parent.ts'
import { ORDERS, type Order, type PublisherDown, type PublisherUp } from './messages.ts'

const stopping = new AbortController()

const parent = new Parent<PublisherDown, PublisherUp>((message) => {
  switch (message.type) {
    case 'start':
      publish(message.url).catch(parent.fail)
      break
    case 'stop':
      stopping.abort()
  }
})

/** One order after the other, each as soon as the one before it is acknowledged, until told to stop. */
async function publish(url: string): Promise<void> {
  const bus = await connect(url)
  const orders: Channel<Order> = bus.channel(ORDERS)
  parent.tell({ type: 'ready' })
  let id = 0
  while (!stopping.signal.aborted) await orders.publish({ id: ++id, last: false })
  await orders.publish({ id: ++id, last: true })
  parent.tell({ type: 'stopped', published: id })
}
