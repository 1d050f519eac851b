import { checkName } from '../../arguments.ts'
import { withoutJournal } from '../../bus/index.ts'
import type { FrameBatch } from '../../codec/index.ts'
import { type DurableConversation, messageHeadBytes } from '../../conversation/index.ts'
import { LiminalError } from '../../errors.ts'
import { IntegerMap } from '../../integer-map.ts'
import {
  type CausalContext,
  CONFIRM,
  Column,
  type DurableOpenTerms,
  HAS_HEAD,
  HEAD_WIDTH,
  IN_PARTS,
  OPEN_DURABLE,
  REPLY_REQUESTED,
  ROW_WIDTH,
  readDurableTerms,
  readHead,
  readRequestHead,
} from '../../protocol/index.ts'
import { toLiminalError } from '../../thrown.ts'
import type { SessionContext } from '../context.ts'

/** A durable conversation that the peer has in hand, under the id that the peer chose. */
interface Entry {
  readonly id: number | bigint
  /** Of the open: where the peer hears of its end. */
  readonly streamId: number
  /** `null` until it is open. */
  conversation: DurableConversation | null
  /** What the peer said to a close that came before it was open. */
  closing: { readonly reason: string | null; readonly streamId: number; readonly flags: number } | null
  /** Ends the wait for each reply, by the stream that it is to come on. */
  readonly waits: Map<number, () => void>
}

/**
 * The durable conversations that the peer has in hand (extension `DURABLE`). Others may have the same ones; the end of the connection changes nothing for them. One that is over
 * stays in hand until the peer closes it: it may still ask for replies that were given.
 */
export class DurableConversations {
  readonly #context: SessionContext
  readonly #entries = new IntegerMap<Entry>(2)
  #waiting = 0

  constructor(context: SessionContext) {
    this.#context = context
  }

  get size(): number {
    return this.#entries.size
  }

  has(id: number | bigint): boolean {
    return this.#entries.has(id)
  }

  /** `field`: subject and terms. `held` is what the peer has open beside these. The peer hears of it when it is open. */
  open(streamId: number, id: number | bigint, field: string, flags: number, held: number): void {
    const entry: Entry = { id, streamId, conversation: null, closing: null, waits: new Map() }
    let opening: Promise<DurableConversation>
    try {
      const { refusing, options, bus } = this.#context
      if (refusing !== null) throw refusing
      const most = options.limits.conversationsPerConnection
      if (this.#entries.size + held >= most) {
        const text = `A connection may hold ${most} conversations and responders; close one first.`
        throw new LiminalError('LIMIT_EXCEEDED', text)
      }
      const { subject, terms } = readDurableTerms(field)
      checkName('subject', subject)
      checkName('key', terms.key)
      const { durable } = bus.conversations
      if (durable === null) throw withoutJournal(subject)
      opening = durable.open(subject, { ...terms, causal: causalOf(terms) })
    } catch (thrown) {
      this.#refuse(streamId, id, toLiminalError(thrown))
      return
    }
    this.#entries.set(id, entry)
    opening.then(
      (conversation) => this.#opened(entry, conversation, field, flags),
      (thrown: unknown) => {
        if (!this.#isHeld(entry)) return
        this.#entries.delete(id)
        this.#refuse(streamId, id, toLiminalError(thrown))
      },
    )
  }

  message(batch: FrameBatch, row: number): void {
    const at = HEAD_WIDTH + row * ROW_WIDTH
    const streamId = batch.columns[at + Column.STREAM] >>> 0
    const flags = batch.columns[at + Column.FLAGS]
    const id = batch.key(row)
    const entry = this.#entries.get(id)
    const conversation = entry?.conversation ?? null
    if (entry === undefined || conversation === null) {
      const text = `Conversation ${id} is not open yet; wait for the echo of its open.`
      this.#refuse(streamId, id, new LiminalError('CONVERSATION_NOT_FOUND', text))
      return
    }
    try {
      const { refusing, options } = this.#context
      if (refusing !== null) throw refusing
      if ((flags & IN_PARTS) !== 0) {
        throw new LiminalError('NOT_SUPPORTED', 'The parts of a reply are not recorded: ask for one reply.')
      }
      let payload = batch.payload(row)
      let requestId: string | null = null
      if ((flags & HAS_HEAD) !== 0) {
        const headed = readHead(payload)
        payload = headed.payload
        requestId = readRequestHead(headed).requestId ?? null
        if (requestId !== null) checkName('requestId', requestId)
      }
      if ((flags & REPLY_REQUESTED) === 0) {
        conversation.send(payload, batch.causal(row))
        return
      }
      const most = options.limits.pendingRequestsPerConnection
      if (this.#waiting >= most) {
        const text = `A connection may have ${most} requests underway; wait for a reply first.`
        throw new LiminalError('LIMIT_EXCEEDED', text)
      }
      this.#ask(entry, conversation, streamId, requestId, payload, batch.causal(row))
    } catch (thrown) {
      this.#refuse(streamId, id, toLiminalError(thrown))
    }
  }

  /** The peer does not wait for the reply on this stream any more; the request goes on. */
  withdraw(streamId: number, id: number | bigint): void {
    const entry = this.#entries.get(id)
    if (entry !== undefined) this.#settle(entry, streamId)?.()
  }

  /** The peer closes it, for all who have it; one that is over it only lets go of. Confirmed when that is stored. */
  close(id: number | bigint, reason: string | null, streamId: number, flags: number): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    const { conversation } = entry
    if (conversation === null) {
      entry.closing = { reason, streamId, flags }
      return
    }
    this.#letGo(entry)
    const confirm = (): void => {
      if ((flags & CONFIRM) === 0) return
      const conversationId = BigInt(id)
      const frame = { type: 'ConversationClose', flags, streamId, conversationId, reasonCode: null } as const
      this.#context.output.converse({ ...frame, message: reason })
    }
    if (!conversation.isOpen) confirm()
    else
      conversation.close(reason).then(confirm, (thrown: unknown) => this.#refuse(streamId, id, toLiminalError(thrown)))
  }

  /** The connection is over. */
  leaveAll(): void {
    for (const entry of this.#entries.values()) this.#letGo(entry)
  }

  #opened(entry: Entry, conversation: DurableConversation, subject: string, flags: number): void {
    // The peer is gone.
    if (!this.#isHeld(entry)) return
    entry.conversation = conversation
    const { id, streamId, closing } = entry
    const { output } = this.#context
    const conversationId = BigInt(id)
    if ((flags & CONFIRM) !== 0) {
      const open = { type: 'ConversationOpen', flags: flags & (CONFIRM | OPEN_DURABLE), streamId } as const
      output.converse({ ...open, conversationId, subject })
    }
    if (closing !== null) {
      this.close(id, closing.reason, closing.streamId, closing.flags)
      return
    }
    conversation.closed.promise.then(
      () => {
        if (!this.#isHeld(entry)) return
        const frame = { type: 'ConversationClose', flags: 0, streamId, conversationId, reasonCode: null } as const
        output.converse({ ...frame, message: null })
      },
      (thrown: unknown) => {
        const error = toLiminalError(thrown)
        // The bus ends, and the conversation does not.
        if (this.#isHeld(entry) && error.code !== 'CLOSED') this.#refuse(streamId, id, error)
      },
    )
  }

  #ask(
    entry: Entry,
    conversation: DurableConversation,
    streamId: number,
    requestId: string | null,
    payload: Uint8Array,
    causal: CausalContext,
  ): void {
    const stop = conversation.ask(requestId, payload, causal, {
      replied: (reply) => {
        if (this.#settle(entry, streamId) !== undefined) this.#answer(entry, streamId, reply)
      },
      failed: (error) => {
        if (this.#settle(entry, streamId) !== undefined) this.#refuse(streamId, entry.id, error)
      },
    })
    entry.waits.set(streamId, stop)
    this.#waiting++
  }

  #answer({ id }: Entry, streamId: number, reply: Uint8Array): void {
    const { output, options } = this.#context
    const most = options.limits.frameBytes
    const bytes = messageHeadBytes(null) + reply.length
    if (bytes <= most && output.answer(streamId, id, reply)) return
    const why = bytes > most ? `a frame of this server carries ${most} at most` : 'too many replies wait already'
    const text = `The reply has ${reply.length} bytes, and ${why}.`
    this.#refuse(streamId, id, new LiminalError('LIMIT_EXCEEDED', text))
  }

  /** Returns what ends the wait; `undefined` if it is over. */
  #settle(entry: Entry, streamId: number): (() => void) | undefined {
    const stop = entry.waits.get(streamId)
    if (stop === undefined) return undefined
    entry.waits.delete(streamId)
    this.#waiting--
    return stop
  }

  #letGo(entry: Entry): void {
    this.#entries.delete(entry.id)
    for (const streamId of [...entry.waits.keys()]) this.#settle(entry, streamId)?.()
  }

  #isHeld(entry: Entry): boolean {
    return this.#entries.get(entry.id) === entry
  }

  #refuse(streamId: number, id: number | bigint, error: LiminalError): void {
    // The bus ends, and the conversation does not: the peer asks again when it is back.
    const said = error.code === 'CLOSED' ? new LiminalError('SHUTTING_DOWN', error.message) : error
    const refusal = this.#context.refusal(said)
    const conversationId = BigInt(id)
    this.#context.output.converse({ type: 'ConversationError', flags: 0, streamId, conversationId, ...refusal })
  }
}

function causalOf({ parentId, vectorClockEntry }: DurableOpenTerms): CausalContext | undefined {
  if (parentId === undefined && vectorClockEntry === undefined) return undefined
  return {
    parentId: parentId ?? null,
    vectorClockEntry: vectorClockEntry === undefined ? null : BigInt(vectorClockEntry),
  }
}
