import { createBus } from '../../ts/bus/index.ts'
import { describeBusConformance } from './suite.ts'

describeBusConformance('a bus in the process', async ({ smallQueues = false, ...options }) => {
  const bus = await createBus({
    ...options,
    ...(smallQueues && { subscriptionQueue: { maxDeliveries: 64, holdMs: 50, stallMs: 10 } }),
  })
  return { bus: async () => bus, close: () => bus.close() }
})
