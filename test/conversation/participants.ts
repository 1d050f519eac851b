import type {
  ConversationInfo,
  MessageFate,
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
  /** Their payloads, which are good for the call only. */
  readonly payloads: string[] = []
  closes = 0
  readonly #fates: MessageFate[] = []
  readonly #source: ScriptedSource

  constructor(conversation: ConversationInfo, source: ScriptedSource) {
    this.conversation = conversation
    this.#source = source
  }

  receive(message: ParticipantMessage, done: MessageFate): void {
    this.messages.push(message)
    this.payloads.push(Buffer.from(message.payload).toString())
    this.#fates.push(done)
    this.#source.onMessage()
  }

  close(): void {
    this.closes++
  }

  reply(index: number, text: string | null): void {
    this.#fates[index].reply(text === null ? null : Buffer.from(text))
  }

  part(index: number, text: string): void {
    this.#fates[index].part(Buffer.from(text))
  }

  handBack(index: number, error: LiminalError): void {
    this.#fates[index].handBack(error)
  }

  refuse(index: number, error: LiminalError): void {
    this.#fates[index].fail(error)
  }
}

/** A source of scripted participants. */
export class ScriptedSource implements ParticipantSource {
  readonly participants: ScriptedParticipant[] = []
  /** Runs within each join, when its participant is there. */
  onJoin: () => void = () => {}
  /** Runs within each message, when that is noted. */
  onMessage: () => void = () => {}

  join(conversation: ConversationInfo): Participant {
    const participant = new ScriptedParticipant(conversation, this)
    this.participants.push(participant)
    this.onJoin()
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
