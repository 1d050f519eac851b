import { expect, it } from 'vitest'
import type { Setup } from './suite.ts'
import { deferred, failure, Taker } from './tools.ts'

/** The end of a bus. */
export function closingTests(setup: Setup): void {
  it('ends what it holds: subscriptions, pending asks, conversations', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const started = deferred()
    await bus
      .respond('never', () => {
        started.resolve()
        return new Promise<void>(() => {})
      })
      .ready()
    const iterated = bus.channel('ticks').subscribe()
    const handled = bus.channel('ticks').subscribe(() => {})
    await Promise.all([iterated.ready(), handled.ready()])
    const taker = new Taker(iterated)
    const conversation = await bus.converse('never')

    const waiting = [
      taker.fails('CLOSED'),
      failure(() => handled.closed, 'CLOSED'),
      failure(() => iterated.closed, 'CLOSED'),
      failure(() => bus.ask('never', 1), 'CLOSED'),
      failure(() => conversation.closed, 'CLOSED'),
    ]
    await started.promise
    await bus.close()
    await Promise.all(waiting)
  })

  it('refuses everything afterwards', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const channel = bus.channel('ticks')
    await bus.respond('here', () => 1).ready()
    await bus.close()
    await failure(() => channel.publish(1), 'CLOSED')
    await failure(() => channel.send(1), 'CLOSED')
    await failure(() => channel.ready(), 'CLOSED')
    await failure(() => channel.subscribe().ready(), 'CLOSED')
    await failure(() => bus.ask('here', 1), 'CLOSED')
    await failure(() => bus.converse('here'), 'CLOSED')
    await failure(() => bus.respond('here', () => 1).ready(), 'CLOSED')
  })

  it('closes once, however often it is asked to', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    await Promise.all([bus.close(), bus.close()])
    await bus.close()
    await bus[Symbol.asyncDispose]()
  })

  it('leaves what was closed before alone', async () => {
    const backing = await setup()
    const bus = await backing.bus()
    const subscription = bus.channel('ticks').subscribe()
    await subscription.ready()
    const responder = bus.respond('here', () => 1)
    await responder.ready()
    const conversation = await bus.converse('here')
    await subscription.close()
    await conversation.close()
    await responder.close()
    await bus.close()
    await expect(subscription.closed).resolves.toBeUndefined()
    await expect(conversation.closed).resolves.toBeUndefined()
  })
}
