import { createBus, LocalResponder, LocalWorker } from '../../ts/bus/index.ts'
import { exitKilled } from '../../ts/process/index.ts'
import { describeBusConformance } from './suite.ts'

describeBusConformance('a bus in the process', async ({ smallQueues = false, ...options }) => {
  const bus = await createBus({
    ...options,
    ...(smallQueues && { subscriptionQueue: { maxDeliveries: 64, holdMs: 50, stallMs: 10 } }),
  })
  return {
    bus: async () => bus,
    crash: (_bus, responder) => {
      if (!(responder instanceof LocalResponder || responder instanceof LocalWorker))
        throw new Error('It is not of this bus.')
      responder.process?.exit(exitKilled())
    },
    settled: () => new Promise((resolve) => setImmediate(resolve)),
    conversations: () => bus.conversations().length,
    close: () => bus.close(),
  }
})
