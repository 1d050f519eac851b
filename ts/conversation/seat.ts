import type { LiminalError } from '../errors.ts'
import type { ExitReason } from '../process/index.ts'
import type { ConversationInfo, Participant } from './participant.ts'
import type { SourceRegistration } from './source-registration.ts'

/** Whose seats these are: a conversation. */
export interface SeatOwner {
  readonly number: number
  readonly subject: string
  /** The participant leaves. */
  left(seat: Seat, error: LiminalError | null): void
  /** The process of the seat's source is over, or its participant is. */
  vacated(seat: Seat, reason: ExitReason): void
}

/** The place of one participant in one conversation, and what that participant is told of it. */
export class Seat implements ConversationInfo {
  readonly registration: SourceRegistration
  /** `null` while it joins, and once it has left. */
  participant: Participant | null = null
  /** Messages that the participant is at. */
  pending = 0
  /** Its neighbours among the seats of its registration, which looks after them. */
  before: Seat | null = null
  after: Seat | null = null
  readonly #owner: SeatOwner
  #isJoining = true
  #isTaken = true
  #failure: LiminalError | ExitReason | null | undefined

  constructor(owner: SeatOwner, registration: SourceRegistration) {
    this.registration = registration
    this.#owner = owner
    registration.seated(this)
  }

  get id(): bigint {
    return BigInt(this.#owner.number)
  }

  get subject(): string {
    return this.#owner.subject
  }

  /** Lets the source join. Returns what it left with while it joined, `undefined` if it stays. @throws what the source throws. */
  join(): LiminalError | ExitReason | null | undefined {
    try {
      this.participant = this.registration.source.join(this)
    } catch (error) {
      this.release()
      throw error
    }
    this.#isJoining = false
    const failure = this.#failure
    if (failure !== undefined) {
      const { participant } = this
      this.release()
      if (failure !== null && 'is' in failure) participant.gone?.(failure)
    }
    return failure
  }

  leave(error: LiminalError | null): void {
    if (this.#isJoining) this.#failure = error
    else this.#owner.left(this, error)
  }

  lost(reason: ExitReason): void {
    if (this.#isJoining) {
      this.#failure = reason
      return
    }
    const { participant } = this
    this.#owner.vacated(this, reason)
    participant?.gone?.(reason)
  }

  /** Nobody sits here any more. Idempotent. */
  release(): void {
    this.participant = null
    if (!this.#isTaken) return
    this.#isTaken = false
    this.registration.released(this)
  }
}
