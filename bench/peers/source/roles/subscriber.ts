import type { Client, Connecting } from '../clients/client.ts'
import { now } from '../measure/clock.ts'
import { Tally } from '../measure/message.ts'
import type { Assignment, Role } from '../process/messages.ts'
import { parent } from '../process/parent.ts'
import { notOffered, type Part } from './role.ts'

/** Connections opened at the same time: a server's backlog is no part of what is measured. */
const OPENING = 20

/** Subscribes on every connection and checks every message; reports progress when the slowest connection has made some. */
export async function startSubscriber(
  client: Client,
  connecting: Connecting,
  { run, size }: Assignment,
  { connections, form, stride }: Extract<Role, { kind: 'subscriber' }>,
): Promise<Part> {
  const { subscribe } = client
  if (subscribe === undefined) throw notOffered('subscription')
  /** How many connections have reached a mark that not all have. */
  const arrivals = new Map<number, number>()
  let unfinished = connections

  const reached = (mark: number) => {
    const arrived = (arrivals.get(mark) ?? 0) + 1
    if (arrived < connections) arrivals.set(mark, arrived)
    else {
      arrivals.delete(mark)
      parent.tell({ type: 'progress', through: mark })
    }
  }
  const finished = (next: number) => {
    unfinished -= 1
    if (unfinished > 0) return
    unfinished = connections
    parent.tell({ type: 'finished', endedAt: now() })
    parent.tell({ type: 'progress', through: next })
  }
  const tallies = Array.from({ length: connections }, () => new Tally({ run, size, stride, reached, finished }))

  for (let from = 0; from < connections; from += OPENING) {
    const opening = tallies
      .slice(from, from + OPENING)
      .map((tally, index) =>
        subscribe(connecting, (bytes, offset, length) => tally.take(bytes, offset, length), form, from + index),
      )
    await Promise.all(opening)
  }
  return { check: () => tallies.map((tally) => tally.check()) }
}
