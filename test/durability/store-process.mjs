// A store in a process of its own, from the built package, as it has to start often: does what its parent tells it, see store-child.ts.
import { createHash } from 'node:crypto'
import { EmbeddedStore } from '../../dist/durability/index.js'
import { LiminalError } from '../../dist/errors.js'

const say = (message) => process.send(message)
const stream = (name) => ({ kind: 'channel', parts: [name] })

let store = null

process.on('message', (message) => {
  handle(message).catch((error) => {
    const code = error instanceof LiminalError ? error.code : 'no LiminalError'
    say({ is: 'failed', code, message: error instanceof Error ? error.message : String(error) })
  })
})
say({ is: 'ready' })

async function handle(message) {
  switch (message.is) {
    case 'open':
      store = await EmbeddedStore.open(message.options)
      say({ is: 'opened' })
      break
    case 'append':
      await Promise.all(message.streams.map((name) => appendForEver(name)))
      break
    case 'leave': {
      process.disconnect()
      const left = await EmbeddedStore.open(message.options)
      await left.write([append('orders', 0n, 'x')])
      if (!message.close) return
      await left.close()
      process.exitCode = 7
      break
    }
    case 'examine':
      say({ is: 'examined', ...(await examine(message.options)) })
  }
}

function append(name, expected, ...texts) {
  const parts = texts.map((text) => Buffer.from(text))
  let end = 0
  const ends = Uint32Array.from(parts, (part) => {
    end += part.length
    return end
  })
  return { type: 'append', stream: stream(name), expected, events: { bytes: Buffer.concat(parts), ends } }
}

/** Events carry their sequence, and are of any size up to 20 KB. */
async function appendForEver(name) {
  if (store === null) throw new Error('no store is open')
  let { next } = await store.state(stream(name))
  for (;;) {
    const size = Number((next * 7919n) % 20_000n)
    await store.write([append(name, next, `${next}:${'x'.repeat(size)}`, `${next + 1n}:`)])
    next += 2n
    say({ is: 'acknowledged', stream: name, next: String(next) })
  }
}

async function examine(options) {
  const opened = await EmbeddedStore.open(options)
  const ends = new Map()
  let before
  try {
    before = await digest(opened, null, ends)
    // Writes make LMDB take pages from the lists of free ones, and give pages back to them.
    for (let round = 0; round < 5; round++) {
      for (const name of ends.keys()) {
        const { next } = await opened.state(stream(name))
        const text = 'x'.repeat(round * 2_000 + 10)
        await opened.write([append(name, next, text, text, text)])
      }
      await opened.write([{ type: 'remove', stream: stream('made here') }, append('made here', 0n, 'x'.repeat(9_000))])
    }
    await opened.write([{ type: 'remove', stream: stream('made here') }])
  } finally {
    await opened.close()
  }
  const again = await EmbeddedStore.open(options)
  try {
    return { before, after: await digest(again, ends, new Map()) }
  } finally {
    await again.close()
  }
}

/** Of everything that is in a store; of streams only up to `limits`, if they are given. Where they end goes to `ends`. */
async function digest(opened, limits, ends) {
  const hash = createHash('sha256')
  for (const kind of ['channel', 'claims', 'cursor', 'conversation', 'snapshot', 'meta']) {
    const { keys } = await opened.keys(kind, [], { limit: 100_000 })
    for (const key of keys) {
      hash.update(JSON.stringify(key))
      hash.update((await opened.get(key)) ?? 'none').update(String(await opened.number(key)))
      await digestStream(opened, key, hash, limits, ends)
    }
  }
  return hash.digest('hex')
}

async function digestStream(opened, key, hash, limits, ends) {
  const { first, next } = await opened.state(key)
  if (key.kind === 'channel') ends.set(key.parts[0], next)
  const end = limits?.get(key.parts[0]) ?? next
  hash.update(`${first} ${end}`)
  for (let at = first; at < end; ) {
    const page = await opened.read(key, at, { maxEvents: Number(end - at) })
    for (const { timestamp, ends: eventEnds, bytes } of page.batches) {
      hash.update(`${timestamp} ${eventEnds.join()}`).update(bytes)
    }
    at = page.next
  }
}
