import type { Client, Connecting } from '../clients/client.ts'
import { now } from '../measure/clock.ts'
import { Tally } from '../measure/message.ts'
import type { Assignment } from '../process/messages.ts'
import { parent } from '../process/parent.ts'
import { notOffered, type Part } from './role.ts'

/** No progress is reported: nobody waits for it. */
const UNREACHED = Number.MAX_SAFE_INTEGER

/** Reads back what was stored and checks it. `messages` of the phase is how many there must be. */
export async function startReader(client: Client, connecting: Connecting, { run, size }: Assignment): Promise<Part> {
  const { read } = client
  if (read === undefined) throw notOffered('way to read what is stored')
  const ignore = () => undefined
  const tally = new Tally({ run, size, stride: UNREACHED, reached: ignore, finished: ignore })
  return {
    async phase(_seconds, messages) {
      await read(
        connecting,
        (bytes, offset, length) => tally.take(bytes, offset, length),
        () => tally.next >= messages,
      )
      parent.tell({ type: 'finished', endedAt: now() })
    },
    check: () => [tally.check()],
  }
}
