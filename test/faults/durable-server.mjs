// A server with a data directory, from the built package: it starts fast enough to be killed several times a second. Prints one line of JSON, `{ port }` or `{ failed }`, and closes when its input ends.
// With a file as second argument it answers the subject `order` in three steps, and writes a line there for what each of them does.
import { randomUUID } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { createServer } from '../../dist/server/index.js'

const [options, effects] = process.argv.slice(2)
try {
  const server = await createServer({ port: 0, createChannels: false, echoFallback: true, ...JSON.parse(options) })
  if (effects !== undefined) await server.bus.respond('order', fulfil).ready()
  console.log(JSON.stringify({ port: server.address.port }))
  process.stdin.resume().once('end', () => server.close({ graceMs: 0 }))
} catch (error) {
  const { code, message, retryable } = error
  console.log(JSON.stringify({ failed: { code, message, retryable } }))
  process.exitCode = 1
}

/** Each step gets what the one before it returned, and does what cannot be undone. */
async function fulfil({ order }, context) {
  let after = null
  for (const name of ['reserve', 'charge', 'ship']) {
    const before = after
    after = await context.step(name, async ({ token, attempt }) => {
      const effect = randomUUID()
      appendFileSync(effects, `${JSON.stringify({ order, name, token, attempt, before, effect })}\n`)
      // A crash may come between the effect and the record of it.
      await new Promise(setImmediate)
      return effect
    })
  }
  return { order, shipped: after }
}
