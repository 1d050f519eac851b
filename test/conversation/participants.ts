import type {
  ConversationInfo,
  Participant,
  ParticipantMessage,
  ParticipantSource,
} from '../../ts/conversation/index.ts'
import { type ErrorCode, LiminalError } from '../../ts/errors.ts'

export const NO_CAUSE = { parentId: null, vectorClockEntry: null }

/** A participant that the test answers for. */
export class ScriptedParticipant implements Participant {
  readonly conversation: ConversationInfo
  readonly messages: ParticipantMessage[] = []
  closes = 0
  readonly #replies: { resolve(reply: Uint8Array | null): void; reject(error: unknown): void }[] = []

  constructor(conversation: ConversationInfo) {
    this.conversation = conversation
  }

  receive(message: ParticipantMessage): Promise<Uint8Array | null> {
    this.messages.push(message)
    return new Promise((resolve, reject) => this.#replies.push({ resolve, reject }))
  }

  close(): void {
    this.closes++
  }

  reply(index: number, text: string | null): void {
    this.#replies[index].resolve(text === null ? null : Buffer.from(text))
  }

  refuse(index: number, error: unknown): void {
    this.#replies[index].reject(error)
  }
}

/** A source of scripted participants. */
export class ScriptedSource implements ParticipantSource {
  readonly participants: ScriptedParticipant[] = []

  join(conversation: ConversationInfo): Participant {
    const participant = new ScriptedParticipant(conversation)
    this.participants.push(participant)
    return participant
  }
}

export function payload(text: string): Uint8Array {
  return Buffer.from(text)
}

/** The code that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<ErrorCode> {
  try {
    await promise
  } catch (error) {
    if (error instanceof LiminalError) return error.code
    throw error
  }
  throw new Error('A rejection was expected.')
}
