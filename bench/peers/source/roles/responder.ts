import type { Client, Connecting } from '../clients/client.ts'
import { type Check, NOTHING, sequenceOf } from '../measure/message.ts'
import type { Assignment } from '../process/messages.ts'
import { notOffered, type Part } from './role.ts'

/** Answers every request with its payload and notes which came, each once; order is no promise here. */
export async function startResponder(client: Client, connecting: Connecting, { run, size }: Assignment): Promise<Part> {
  if (client.responder === undefined) throw notOffered('responder')
  const early = new Set<number>()
  let contiguous = 0
  let duplicates = 0
  let corrupt = 0
  await client.responder(connecting, (bytes, offset, length) => {
    const sequence = sequenceOf(bytes, offset, length, run, size)
    if (sequence === contiguous) {
      contiguous += 1
      while (early.delete(contiguous)) contiguous += 1
    } else if (sequence < 0) corrupt += 1
    else if (sequence < contiguous || early.has(sequence)) duplicates += 1
    else early.add(sequence)
  })
  const check = (): Check[] => {
    const newest = Math.max(contiguous - 1, ...early)
    const received = contiguous + early.size
    return [{ ...NOTHING, received, lost: newest + 1 - received, duplicates, corrupt }]
  }
  return { check }
}
