import { ADMINISTRATION_SUBJECT, answerAdministration, type BusCore, participantFromBehaviour } from '../bus/index.ts'

/** Lets clients of a server administrate its bus. Returns what takes that back. */
export function serveAdministration({ conversations, administration }: BusCore): () => void {
  const source = participantFromBehaviour(
    (request, { signal }) => answerAdministration(administration, request, signal),
    'json',
  )
  const registration = conversations.register(ADMINISTRATION_SUBJECT, source)
  return () => registration.withdraw()
}
