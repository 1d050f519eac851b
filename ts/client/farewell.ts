import type { LiminalError } from '../errors.ts'
import { waitFor } from '../waiting.ts'
import type { Connection } from './connection.ts'
import type { Restorable } from './restorable.ts'

/**
 * Takes leave of a server in good order: whoever answers or works here is withdrawn, what is underway is handed back where that is possible, and what was on its way here
 * when the server heard of that is refused as undone, so that somebody else gets it.
 *
 * @param parts everything that is set up on the connection.
 * @param error what ends the bus.
 * @returns settles once nothing more can come; at once where nobody here is sent anything.
 */
export function takeLeave(connection: Connection, parts: Iterable<Restorable>, error: LiminalError): Promise<void> {
  const { pushes, inbound } = connection
  const workersLeft = pushes?.leave() ?? Promise.resolve()
  for (const part of parts) part.leave?.()
  if (inbound === null || !inbound.leave(error)) return workersLeft
  // The server deals with frames in order: its Pong comes behind everything that it sent before it knew.
  const isRead = new Promise<void>((resolve) => connection.ping(resolve))
  return Promise.all([workersLeft, isRead]).then(() => {})
}

/** Waits for that until it has taken too long, or the connection is gone. Returns whether it is so. Never rejects. */
export async function hasLeft(left: Promise<void>, connection: Connection, timeoutMs: number): Promise<boolean> {
  const lost = connection.over.then(() => false)
  try {
    const settled = Promise.race([left.then(() => true), lost])
    return await waitFor(settled, { timeoutMs, what: 'The goodbye' })
  } catch {
    return false
  }
}
