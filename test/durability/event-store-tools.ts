import type { EventBatch, EventPage, EventStore, StoreKey, StoreWrite } from '../../ts/durability/index.ts'

export const stream = (...parts: string[]): StoreKey => ({ kind: 'channel', parts })
export const meta = (...parts: string[]): StoreKey => ({ kind: 'meta', parts })

/** Events of these texts, one behind the other. */
export function eventsOf(...texts: string[]): EventBatch {
  const ends = new Uint32Array(texts.length)
  let end = 0
  for (const [index, text] of texts.entries()) {
    end += Buffer.byteLength(text)
    ends[index] = end
  }
  return { bytes: Buffer.from(texts.join('')), ends }
}

/** Events of this size, all of the same byte. */
export function eventsOfSize(count: number, size: number, byte = 120): EventBatch {
  return {
    bytes: new Uint8Array(count * size).fill(byte),
    ends: new Uint32Array(count).map((_, at) => (at + 1) * size),
  }
}

export function append(name: StoreKey, expected: bigint, ...texts: string[]): StoreWrite {
  return { type: 'append', stream: name, expected, events: eventsOf(...texts) }
}

/** The texts of a page, and the sequences that its batches claim for them. */
export function textsOf(page: EventPage): { sequence: bigint; text: string }[] {
  return page.batches.flatMap(({ first, ends, bytes }) =>
    Array.from(ends, (end, index) => ({
      sequence: first + BigInt(index),
      text: Buffer.from(bytes.subarray(index === 0 ? 0 : ends[index - 1], end)).toString(),
    })),
  )
}

/** All events of a stream from a sequence on, page by page. */
export async function allTexts(store: EventStore, name: StoreKey, from = 0n): Promise<string[]> {
  const { next } = await store.state(name)
  const texts: string[] = []
  while (from < next) {
    const page = await store.read(name, from)
    const found = textsOf(page)
    if (found.length === 0) throw new Error(`no event at ${from}, though the next is ${next}`)
    texts.push(...found.map(({ text }) => text))
    from = page.next
  }
  return texts
}
