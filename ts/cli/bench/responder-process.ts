import { connect } from '../../client/index.ts'
import { Parent } from '../parent.ts'
import { peakRssBytes, type ResponderDown, type ResponderUp } from './messages.ts'
import { SampleReader } from './sample.ts'
import { Tally } from './tally.ts'

type Prepare = Extract<ResponderDown, { type: 'prepare' }>

let tally = new Tally([])

const parent = new Parent<ResponderDown, ResponderUp>((message) => {
  switch (message.type) {
    case 'prepare':
      respond(message).catch(parent.fail)
      break
    case 'count':
      parent.tell({ type: 'count', counts: tally.counts(), peakRssBytes: peakRssBytes() })
  }
})

/** Replies with the request, and ticks off which ones came. */
async function respond({ url, authToken, name, run, size, sizes }: Prepare): Promise<void> {
  const bus = await connect(url, { reconnect: false, ...(authToken === null ? {} : { authToken }) })
  const reader = new SampleReader(size)
  tally = new Tally(sizes)
  const responder = bus.respond<Uint8Array>(
    name,
    (request) => {
      const sample = reader.read(request)
      if (sample === null) tally.corrupt()
      else if (sample.run === run) tally.arrived(sample.source, sample.sequence)
      return request
    },
    { payload: 'bytes' },
  )
  await responder.ready()
  parent.tell({ type: 'ready' })
}
