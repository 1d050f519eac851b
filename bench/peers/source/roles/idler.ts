import type { Client, Connecting } from '../clients/client.ts'
import { parent } from '../process/parent.ts'
import { notOffered, type Part } from './role.ts'

/** Connections opened at the same time. */
const OPENING = 20

/** Opens subscribed connections on which nothing happens. */
export async function startIdler(client: Client, connecting: Connecting): Promise<Part> {
  const { subscribe } = client
  if (subscribe === undefined) throw notOffered('subscription')
  let opened = 0
  const unexpected = () => connecting.fail(new Error('a message came where nobody publishes'))
  return {
    async open(connections) {
      for (const end = opened + connections; opened < end; ) {
        const count = Math.min(OPENING, end - opened)
        const opening = Array.from({ length: count }, (_, index) =>
          subscribe(connecting, unexpected, 'fastest', opened + index),
        )
        opened += count
        await Promise.all(opening)
      }
      parent.tell({ type: 'opened' })
    },
  }
}
