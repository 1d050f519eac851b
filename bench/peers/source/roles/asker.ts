import type { Asker, Client, Connecting } from '../clients/client.ts'
import { now } from '../measure/clock.ts'
import { type Check, MessageRing, NOTHING, sequenceOf } from '../measure/message.ts'
import { latencyOf } from '../measure/statistics.ts'
import type { Assignment, Role } from '../process/messages.ts'
import { parent } from '../process/parent.ts'
import { notOffered, type Part } from './role.ts'

/** Requests that may overtake one that a client still holds a reference to, for each one in flight. */
const RING_TURNS = 64

/** Keeps so many requests underway and checks that each gets its own reply. Every one is timed. */
export async function startAsker(
  client: Client,
  connecting: Connecting,
  { run, size }: Assignment,
  { inFlight }: Extract<Role, { kind: 'asker' }>,
): Promise<Part> {
  if (client.asker === undefined) throw notOffered('request')
  const asker: Asker = await client.asker(connecting)
  const ring = new MessageRing(run, size, inFlight * RING_TURNS)
  let next = 0
  let replied = 0
  let corrupt = 0

  const phase = async (seconds: number, messages: number) => {
    const first = next
    const startedAt = now()
    const deadline = startedAt + seconds * 1_000
    const latencies: number[] = []
    await new Promise<void>((resolve) => {
      const ask = () => {
        const sequence = next++
        const askedAt = now()
        asker.ask(ring.message(sequence, false), (bytes, offset, length) => {
          const repliedAt = now()
          latencies.push(repliedAt - askedAt)
          if (sequenceOf(bytes, offset, length, run, size) !== sequence) corrupt += 1
          replied += 1
          if (repliedAt < deadline && next - first < messages) ask()
          else if (replied === next) resolve()
        })
      }
      for (let slot = 0; slot < Math.min(inFlight, messages); slot++) ask()
    })
    const endedAt = now()
    parent.tell({
      type: 'published',
      startedAt,
      endedAt,
      messages: next - first,
      latency: latencyOf(latencies),
    })
  }
  const check = (): Check[] => [{ ...NOTHING, received: replied, lost: next - replied, corrupt }]
  return { phase, check }
}
