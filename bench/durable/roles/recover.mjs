// What a crash leaves behind, and how long it takes to be back: messages in a log, and durable conversations with one request answered and one underway.
import { createBus } from '../../../dist/index.js'
import { messageRing } from '../messages.mjs'
import { answer } from '../process.mjs'
import { CHANNEL, durableOptions } from '../systems/liminal.mjs'

const SUBJECT = 'bench.conversations'
const OPENING = 256

/** Keeps what is held open from being collected. */
const held = []

answer({
  /** Opens conversations, has each answered once and leaves a second request of each unanswered. */
  async converse({ directory, conversations }) {
    const bus = await createBus(durableOptions(directory))
    const underway = waitFor(conversations)
    await bus
      .respond(SUBJECT, ({ round }) => {
        if (round === 1) return round
        underway.one()
        return new Promise(() => undefined)
      })
      .ready()
    let next = 0
    const lane = async () => {
      while (next < conversations) {
        const conversation = await bus.converse(SUBJECT, { durable: true, key: `conversation-${next++}` })
        held.push(conversation)
        await conversation.request({ round: 1 })
        // Nobody answers this one before the process is killed.
        conversation.request({ round: 2 }, { timeoutMs: 3_600_000 }).catch(() => undefined)
      }
    }
    await Promise.all(Array.from({ length: OPENING }, lane))
    await underway.all
  },

  /** Opens the bus again, and says when it was ready, when a publish was acknowledged, and when every unanswered request was asked again. */
  async recover({ directory, conversations }) {
    const sinceStartMs = performance.now()
    const bus = await createBus(durableOptions(directory))
    const readyMs = performance.now() - sinceStartMs
    const asked = waitFor(conversations)
    await bus
      .respond(SUBJECT, ({ round }) => {
        if (round !== 2) throw new Error(`Round ${round} was asked again.`)
        asked.one()
        return round
      })
      .ready()
    const { position } = await bus.channel(CHANNEL, { payload: 'bytes' }).publish(messageRing(1)(0))
    const publishedMs = performance.now() - sinceStartMs
    await asked.all
    const askedAgainMs = performance.now() - sinceStartMs
    return {
      readyMs,
      publishedMs,
      askedAgainMs,
      position: Number(position),
      heapMib: process.memoryUsage().rss / 2 ** 20,
    }
  },
})

function waitFor(count) {
  let left = count
  let done
  const all = new Promise((resolve) => {
    done = resolve
  })
  if (left === 0) done()
  return {
    all,
    one() {
      if (--left === 0) done()
    },
  }
}
