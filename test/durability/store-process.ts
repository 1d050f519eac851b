/** A store in a process of its own, which does what its parent tells it: see {@link ToStoreProcess}. */
import { createHash } from 'node:crypto'
import { EmbeddedStore, type EmbeddedStoreOptions, type EventStore, type StoreKey } from '../../ts/durability/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { append, eventsOfSize, stream } from './event-store-tools.ts'

export type ToStoreProcess =
  /** Opens a store and keeps it. */
  | { readonly is: 'open'; readonly options: EmbeddedStoreOptions }
  /** Appends to these streams in turn, for ever, and says of each stream what was acknowledged. */
  | { readonly is: 'append'; readonly streams: readonly string[] }
  /** Opens a store, reads all of it, writes to it, opens and reads it again, and closes it. */
  | { readonly is: 'examine'; readonly options: EmbeddedStoreOptions }
  /** Takes leave of its parent, opens a store, writes to it, and closes it or not. With 7 it ends only if the store was closed. */
  | { readonly is: 'leave'; readonly options: EmbeddedStoreOptions; readonly close: boolean }

export type FromStoreProcess =
  | { readonly is: 'ready' | 'opened' }
  | { readonly is: 'acknowledged'; readonly stream: string; readonly next: string }
  | { readonly is: 'examined'; readonly before: string; readonly after: string }
  | { readonly is: 'failed'; readonly code: string; readonly message: string }

const say = (message: FromStoreProcess): void => {
  process.send?.(message)
}

let store: EventStore | null = null

process.on('message', (message: ToStoreProcess) => {
  handle(message).catch((error: unknown) => {
    const code = error instanceof LiminalError ? error.code : 'no LiminalError'
    say({ is: 'failed', code, message: error instanceof Error ? error.message : String(error) })
  })
})
say({ is: 'ready' })

async function handle(message: ToStoreProcess): Promise<void> {
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
      await left.write([append(stream('orders'), 0n, 'x')])
      if (!message.close) return
      await left.close()
      process.exitCode = 7
      break
    }
    case 'examine':
      say({ is: 'examined', ...(await examine(message.options)) })
  }
}

/** Events carry their sequence, and are of any size up to 20 KB. */
async function appendForEver(name: string): Promise<void> {
  if (store === null) throw new Error('no store is open')
  let { next } = await store.state(stream(name))
  for (;;) {
    const size = Number((next * 7919n) % 20_000n)
    await store.write([append(stream(name), next, `${next}:${'x'.repeat(size)}`, `${next + 1n}:`)])
    next += 2n
    say({ is: 'acknowledged', stream: name, next: String(next) })
  }
}

async function examine(options: EmbeddedStoreOptions): Promise<{ before: string; after: string }> {
  const opened = await EmbeddedStore.open(options)
  const ends = new Map<string, bigint>()
  let before: string
  try {
    before = await digest(opened, null, ends)
    // Writes make LMDB take pages from the lists of free ones, and give pages back to them.
    for (let round = 0; round < 5; round++) {
      for (const name of ends.keys()) {
        const { next } = await opened.state(stream(name))
        const events = eventsOfSize(3, round * 2_000 + 10)
        await opened.write([{ type: 'append', stream: stream(name), expected: next, events }])
      }
      await opened.write([
        { type: 'remove', stream: stream('made here') },
        append(stream('made here'), 0n, 'x'.repeat(9_000)),
      ])
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
async function digest(
  opened: EventStore,
  limits: Map<string, bigint> | null,
  ends: Map<string, bigint>,
): Promise<string> {
  const hash = createHash('sha256')
  for (const kind of ['channel', 'claims', 'cursor', 'conversation', 'snapshot', 'meta'] as const) {
    const { keys } = await opened.keys(kind, [], { limit: 100_000 })
    for (const key of keys) {
      hash.update(JSON.stringify(key))
      hash.update((await opened.get(key)) ?? 'none').update(String(await opened.number(key)))
      await digestStream(opened, key, hash, limits, ends)
    }
  }
  return hash.digest('hex')
}

async function digestStream(
  opened: EventStore,
  key: StoreKey,
  hash: ReturnType<typeof createHash>,
  limits: Map<string, bigint> | null,
  ends: Map<string, bigint>,
): Promise<void> {
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
