import type { ResponderLink } from './responder-link.ts'

/** The responders of one bus by subject. Several of one subject take turns. */
export class ResponderTable {
  readonly #bySubject = new Map<string, ResponderLink[]>()

  /** Subjects that are answered. */
  get size(): number {
    return this.#bySubject.size
  }

  add(responder: ResponderLink): void {
    const responders = this.#bySubject.get(responder.subject)
    if (responders === undefined) this.#bySubject.set(responder.subject, [responder])
    else responders.push(responder)
  }

  remove(responder: ResponderLink): void {
    const responders = this.#bySubject.get(responder.subject)
    const at = responders?.indexOf(responder) ?? -1
    if (responders === undefined || at < 0) return
    responders.splice(at, 1)
    if (responders.length === 0) this.#bySubject.delete(responder.subject)
  }

  /** Whose turn it is; `undefined` if nobody answers the subject. */
  next(subject: string): ResponderLink | undefined {
    const responders = this.#bySubject.get(subject)
    const responder = responders?.shift()
    if (responders !== undefined && responder !== undefined) responders.push(responder)
    return responder
  }
}
