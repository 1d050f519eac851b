import { type Connecting, loadClient } from '../clients/client.ts'
import type { Assignment, Role } from '../process/messages.ts'
import { parent } from '../process/parent.ts'
import { startAsker } from './asker.ts'
import { startIdler } from './idler.ts'
import { startPublisher } from './publisher.ts'
import { startReader } from './reader.ts'
import { startResponder } from './responder.ts'
import type { Part } from './role.ts'
import { startSubscriber } from './subscriber.ts'

// The process of a publisher, a subscriber, an asker or a responder.

let part: Part = {}

parent.listen((message) => {
  switch (message.type) {
    case 'prepare':
      prepare(message.assignment, message.role).catch(parent.fail)
      break
    case 'phase':
      part.phase?.(message.seconds, message.messages).catch(parent.fail)
      break
    case 'progress':
      part.progress?.(message.through)
      break
    case 'open':
      part.open?.(message.connections).catch(parent.fail)
      break
    case 'check':
      parent.tell({ type: 'checked', check: part.check?.() ?? [] })
  }
})

async function prepare(assignment: Assignment, role: Role): Promise<void> {
  const connecting: Connecting = { endpoint: assignment.endpoint, fail: parent.fail }
  const client = await loadClient(assignment.client)
  part = await start(role)
  parent.tell({ type: 'ready' })

  function start(wanted: Role): Promise<Part> {
    switch (wanted.kind) {
      case 'publisher':
        return startPublisher(client, connecting, assignment, wanted)
      case 'subscriber':
        return startSubscriber(client, connecting, assignment, wanted)
      case 'asker':
        return startAsker(client, connecting, assignment, wanted)
      case 'responder':
        return startResponder(client, connecting, assignment)
      case 'idler':
        return startIdler(client, connecting)
      case 'reader':
        return startReader(client, connecting, assignment)
    }
  }
}
