import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  type ConversationCore,
  ConversationRegistry,
  type ExchangeObserver,
  SEND_FAILED,
  type SendFailed,
} from '../../ts/conversation/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { NO_CAUSE, payload, rejection, type ScriptedParticipant, ScriptedSource } from './participants.ts'

let registry: ConversationRegistry
let source: ScriptedSource
let ends: (LiminalError | null)[]

beforeEach(() => {
  registry = new ConversationRegistry({ maxPending: 3 })
  source = new ScriptedSource()
  registry.register('work', source)
  ends = []
})

afterEach(() => {
  vi.useRealTimers()
})

function open(): { conversation: ConversationCore; participant: ScriptedParticipant } {
  const conversation = registry.open('work', { ended: (error) => ends.push(error) })
  return { conversation, participant: source.participants[source.participants.length - 1] }
}

function request(conversation: ConversationCore, text: string, timeoutMs?: number): Promise<string> {
  return conversation.request(payload(text), NO_CAUSE, { timeoutMs }).then((reply) => Buffer.from(reply).toString())
}

const gone = new LiminalError('PARTICIPANT_GONE', 'The connection was lost.')

describe('a conversation', () => {
  it('gives each request its own reply, in any order', async () => {
    const { conversation, participant } = open()
    const replies = Promise.all([request(conversation, 'a'), request(conversation, 'b')])
    expect(participant.payloads).toEqual(['a', 'b'])
    expect(participant.messages.every((message) => message.replyRequested && message.attempt === 1)).toBe(true)
    participant.reply(1, 'B')
    participant.reply(0, 'A')
    expect(await replies).toEqual(['A', 'B'])
    expect(conversation.pending).toBe(0)
  })

  it('ends once, from the asking side', async () => {
    const { conversation, participant } = open()
    const pending = request(conversation, 'a')
    conversation.close()
    conversation.close()
    expect(await rejection(pending)).toBe('CONVERSATION_CLOSED')
    expect(conversation.phase).toBe('closed')
    expect(participant.closes).toBe(1)
    expect(participant.messages[0].signal.aborted).toBe(true)
    expect(ends).toEqual([null])
    expect(await rejection(request(conversation, 'b'))).toBe('CONVERSATION_CLOSED')
    expect(() => conversation.send(payload('c'), NO_CAUSE)).toThrow(/over/)
    expect(participant.messages).toHaveLength(1)
  })

  it('ends with an error for everybody', async () => {
    const { conversation, participant } = open()
    const pending = request(conversation, 'a')
    const error = new LiminalError('CLOSED', 'The bus is closed.')
    conversation.close(error)
    await expect(pending).rejects.toBe(error)
    expect(conversation.phase).toBe('failed')
    expect(participant.messages[0].signal.reason).toBe(error)
    expect(ends).toEqual([error])
  })

  it('ends when its participant leaves: what is pending fails in the same turn', async () => {
    const { conversation, participant } = open()
    const outcomes: string[] = []
    const pending = [request(conversation, 'a'), request(conversation, 'b')].map((reply) =>
      reply.catch((error: unknown) => {
        expect(error).toBe(gone)
        outcomes.push('gone')
      }),
    )
    participant.conversation.leave(gone)
    expect(conversation.phase).toBe('failed')
    expect(ends).toEqual([gone])
    expect(registry.size).toBe(0)
    await Promise.all(pending)
    expect(outcomes).toEqual(['gone', 'gone'])
    participant.conversation.leave(null)
    conversation.close()
    expect(ends).toEqual([gone])
    expect(participant.closes).toBe(0)
    await expect(request(conversation, 'c')).rejects.toBe(gone)
  })

  it('closes quietly when its participant is done', async () => {
    const { conversation, participant } = open()
    const pending = request(conversation, 'a')
    participant.conversation.leave(null)
    expect(await rejection(pending)).toBe('CONVERSATION_CLOSED')
    expect(conversation.phase).toBe('closed')
    expect(ends).toEqual([null])
  })

  it('gives up on a request in time, tells the participant, and drops the late reply', async () => {
    vi.useFakeTimers()
    const { conversation, participant } = open()
    const pending = rejection(request(conversation, 'old', 50))
    const { signal } = participant.messages[0]
    vi.advanceTimersByTime(49)
    expect(signal.aborted).toBe(false)
    vi.advanceTimersByTime(1)
    expect(await pending).toBe('TIMEOUT')
    expect(signal.reason).toMatchObject({ code: 'TIMEOUT' })

    const younger = request(conversation, 'young', 1_000)
    participant.reply(0, 'late')
    participant.reply(1, 'in time')
    expect(await younger).toBe('in time')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('gives up on a request by its signal, and listens to it no longer', async () => {
    const { conversation, participant } = open()
    const controller = new AbortController()
    const remove = vi.spyOn(controller.signal, 'removeEventListener')
    const first = conversation.request(payload('a'), NO_CAUSE, { signal: controller.signal })
    participant.reply(0, 'A')
    await first
    expect(remove).toHaveBeenCalledOnce()
    const second = conversation.request(payload('b'), NO_CAUSE, { signal: controller.signal })
    controller.abort('enough')
    await expect(second).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' })
    expect(participant.messages[0].signal.aborted).toBe(false)
    expect(participant.messages[1].signal.aborted).toBe(true)
    const third = conversation.request(payload('c'), NO_CAUSE, { signal: controller.signal })
    expect(await rejection(third)).toBe('ABORTED')
    expect(participant.messages).toHaveLength(2)
  })

  it('leaves no timer behind, however a request ends', async () => {
    vi.useFakeTimers()
    const { conversation, participant } = open()
    const outcomes = [request(conversation, 'a', 50), request(conversation, 'b', 50), request(conversation, 'c', 50)]
    participant.reply(0, 'A')
    participant.refuse(1, new LiminalError('RESPONDER_FAILED', 'no'))
    expect(await outcomes[0]).toBe('A')
    expect(await rejection(outcomes[1])).toBe('RESPONDER_FAILED')
    conversation.close()
    expect(await rejection(outcomes[2])).toBe('CONVERSATION_CLOSED')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('wraps what a participant throws', async () => {
    const { conversation, participant } = open()
    const cause = new Error('a bug')
    participant.receive = () => {
      throw cause
    }
    await expect(request(conversation, 'b')).rejects.toMatchObject({ code: 'RESPONDER_FAILED', cause })
    expect(conversation.phase).toBe('active')
    expect(conversation.pending).toBe(0)
  })

  it('hears a reply in the very call that gives it, so that nothing can overtake it', () => {
    const { conversation, participant } = open()
    const heard: string[] = []
    const observer: ExchangeObserver = {
      replied: (reply) => heard.push(Buffer.from(reply ?? []).toString()),
      failed: (error) => heard.push(error.code),
    }
    for (const text of ['a', 'b', 'c']) conversation.ask(payload(text), NO_CAUSE, null, observer)
    participant.reply(0, 'A')
    participant.refuse(1, new LiminalError('RESPONDER_FAILED', 'no'))
    participant.conversation.leave(null)
    participant.reply(2, 'too late')
    expect(heard).toEqual(['A', 'RESPONDER_FAILED', 'CONVERSATION_CLOSED'])
  })

  it('fails a request that got no reply at all', async () => {
    const { conversation, participant } = open()
    const pending = request(conversation, 'a')
    participant.reply(0, null)
    expect(await rejection(pending)).toBe('RESPONDER_FAILED')
  })

  it('has a cap on what is underway, replies wanted or not', async () => {
    const { conversation, participant } = open()
    conversation.send(payload('a'), NO_CAUSE)
    conversation.send(payload('b'), NO_CAUSE)
    const third = request(conversation, 'c')
    expect(await rejection(request(conversation, 'd'))).toBe('LIMIT_EXCEEDED')
    expect(() => conversation.send(payload('e'), NO_CAUSE)).toThrow(/underway/)
    participant.reply(0, null)
    participant.reply(2, 'C')
    expect(await third).toBe('C')
    expect(conversation.pending).toBe(1)
    const again = request(conversation, 'f')
    participant.reply(3, 'F')
    expect(await again).toBe('F')
  })

  it('says what became of a message nobody waits for, and lets it finish after a close', async () => {
    const said: SendFailed[] = []
    const heard = new Promise<void>((resolve) => {
      diagnosticsChannel(SEND_FAILED).subscribe(function listener(message) {
        said.push(message as SendFailed)
        diagnosticsChannel(SEND_FAILED).unsubscribe(listener)
        resolve()
      })
    })
    const { conversation, participant } = open()
    conversation.send(payload('a'), NO_CAUSE)
    conversation.close()
    expect(participant.messages[0].replyRequested).toBe(false)
    expect(participant.messages[0].signal.aborted).toBe(false)
    participant.refuse(0, gone)
    await heard
    expect(said).toEqual([{ subject: 'work', conversationId: conversation.id, error: gone }])
  })
})
