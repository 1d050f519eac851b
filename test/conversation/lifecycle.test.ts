import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  type ConversationCore,
  ConversationRegistry,
  type ConversationTerms,
  echo,
  participantFromBehaviour,
} from '../../ts/conversation/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { exitKilled, exitNormal, ProcessSystem } from '../../ts/process/index.ts'
import { NO_CAUSE, payload, rejection, type ScriptedParticipant, ScriptedSource } from './participants.ts'

let processes: ProcessSystem
let registry: ConversationRegistry
let source: ScriptedSource
let ends: (LiminalError | null)[]

beforeEach(() => {
  processes = new ProcessSystem()
  registry = new ConversationRegistry({ processes, history: 4 })
  source = new ScriptedSource()
  ends = []
})

afterEach(() => {
  vi.useRealTimers()
})

function open(terms: ConversationTerms | null = null): {
  conversation: ConversationCore
  participant: ScriptedParticipant
} {
  const conversation = registry.open('work', { ended: (error) => ends.push(error) }, terms)
  return { conversation, participant: source.participants[source.participants.length - 1] }
}

function request(conversation: ConversationCore, text: string): Promise<string> {
  return conversation.request(payload(text), NO_CAUSE, {}).then((reply) => Buffer.from(reply).toString())
}

describe('the phases of a conversation', () => {
  beforeEach(() => {
    registry.register('work', source)
  })

  it('are created, active, completing and closed', () => {
    const { conversation, participant } = open()
    expect(conversation.phase).toBe('created')
    conversation.send(payload('a'), NO_CAUSE)
    expect(conversation.phase).toBe('active')
    conversation.close()
    expect(conversation.phase).toBe('completing')
    participant.reply(0, null)
    expect(conversation.phase).toBe('closed')
    conversation.close()
    expect(conversation).toMatchObject({ phase: 'closed', error: null })
    expect(ends).toEqual([null])
  })

  it('end in failed with the error that ended it, and can be closed then without effect', () => {
    const { conversation, participant } = open()
    conversation.send(payload('a'), NO_CAUSE)
    participant.conversation.lost(exitKilled())
    conversation.close()
    expect(conversation).toMatchObject({ phase: 'failed', error: { code: 'PARTICIPANT_GONE' } })
    expect(ends).toHaveLength(1)
    expect(registry.size).toBe(0)
  })

  it('say to the participant why they ended', () => {
    const reasons: (string | null)[] = []
    for (const end of [
      (core: ConversationCore) => core.close(undefined, 'enough'),
      (core: ConversationCore) => core.close(),
      (core: ConversationCore) => processes.exit(core.process, exitKilled()),
    ]) {
      const { conversation, participant } = open()
      participant.close = (reason: string | null = null) => reasons.push(reason)
      end(conversation)
      conversation.close(undefined, 'too late to say')
    }
    expect(reasons).toEqual(['enough', null, null])
    expect(ends).toMatchObject([null, null, { code: 'CONVERSATION_CLOSED' }])
  })
})

describe('the time of a conversation', () => {
  beforeEach(() => {
    vi.useFakeTimers()
    registry.register('work', source)
  })

  it('is over at its deadline, whatever is underway', async () => {
    const { conversation, participant } = open({ deadlineMs: 1_000 })
    expect(conversation.details.deadline).toBe(conversation.details.openedAt + 1_000)
    vi.advanceTimersByTime(999)
    const waiting = rejection(request(conversation, 'a'))
    expect(conversation.isOpen).toBe(true)
    vi.advanceTimersByTime(1)
    expect(await waiting).toBe('TIMEOUT')
    expect(conversation.phase).toBe('failed')
    expect(ends).toMatchObject([{ code: 'TIMEOUT' }])
    expect(participant.closes).toBe(1)
    expect(await rejection(request(conversation, 'b'))).toBe('TIMEOUT')
  })

  it('is over when nothing happens: a message, a reply and a part of one are something', async () => {
    const { conversation, participant } = open({ idleTimeoutMs: 100 })
    const steps: (() => void)[] = [
      () => conversation.send(payload('a'), NO_CAUSE),
      () => participant.reply(0, null),
      () => conversation.ask(payload('b'), NO_CAUSE, null, { replied: () => {}, failed: () => {} }, { inParts: true }),
      () => participant.part(1, 'one'),
      () => participant.part(1, 'two'),
      () => participant.reply(1, null),
    ]
    for (const step of steps) {
      vi.advanceTimersByTime(99)
      step()
    }
    vi.advanceTimersByTime(99)
    expect(conversation.isOpen).toBe(true)
    vi.advanceTimersByTime(1)
    expect(ends).toMatchObject([{ code: 'TIMEOUT', message: expect.stringMatching(/idle for 100 ms/) }])
  })

  it('leaves no timer behind', async () => {
    const terms = { deadlineMs: 1_000, idleTimeoutMs: 100 }
    const { conversation } = open(terms)
    const waiting = rejection(request(conversation, 'a'))
    conversation.close()
    expect(await waiting).toBe('CONVERSATION_CLOSED')
    open(terms).participant.conversation.leave(null)
    expect(() => registry.open('nobody', { ended: () => {} }, terms)).toThrow(/Nobody answers/)
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('a live conversation', () => {
  beforeEach(() => {
    registry.register('work', source)
  })

  it('is listed and found by its id, with its latest history', async () => {
    const causal = { parentId: 'p', vectorClockEntry: 1n }
    const { conversation, participant } = open({ causal })
    open().conversation.close()
    const reply = request(conversation, 'a')
    expect(participant.messages[0].causal).toBe(causal)
    participant.reply(0, 'A')
    await reply
    void request(conversation, 'b').catch(() => {})
    void request(conversation, 'c').catch(() => {})
    const [details, ...others] = registry.list()
    expect(others).toEqual([])
    expect(details).toMatchObject({ id: conversation.id, subject: 'work', phase: 'active', pending: 2, causal })
    expect(details.participant).toBeGreaterThan(0)
    expect(details.history.map(({ is }) => is)).toEqual(['request', 'reply', 'request', 'request'])
    expect(registry.get(conversation.id)).toBe(conversation)
    conversation.close()
    expect(registry.get(conversation.id)).toBeUndefined()
  })

  it('is a process whose pid is its number, whether anybody has looked at it or not', () => {
    const before = processes.size
    const { conversation } = open()
    expect(processes.size).toBe(before + 1)
    const exits: unknown[] = []
    processes.monitor(conversation.number, (exit) => exits.push(exit.reason))
    expect(processes.list().map(({ pid }) => pid)).toContain(conversation.number)
    expect(processes.size).toBe(before + 1)
    conversation.close()
    expect(exits).toEqual([exitNormal()])
    expect(processes.size).toBe(before)
  })
})

describe('a source', () => {
  it('lives with a process that is not its own, and leaves nothing on it', async () => {
    const session = processes.spawnPassive({ name: 'session' })
    for (let count = 0; count < 3; count++) registry.register('work', source, { process: session }).withdraw()
    expect(processes.info(session)).toMatchObject({ monitoredBy: 0 })
    const registration = registry.register('work', source, { process: session })
    expect(registration.process).toBe(session)
    const { conversation } = open()
    registration.withdraw()
    const waiting = request(conversation, 'a')
    session.end(exitKilled())
    expect(await rejection(waiting)).toBe('PARTICIPANT_GONE')
    expect(processes.size).toBe(0)
  })

  it('is passed over once its process is over, also by those who hear of that first', () => {
    const session = processes.spawnPassive()
    const seen: unknown[] = []
    processes.monitor(session, () => {
      try {
        open()
      } catch (error) {
        seen.push(error)
      }
    })
    registry.register('work', source, { process: session })
    session.end(exitKilled())
    expect(seen).toMatchObject([{ code: 'NO_RESPONDER' }])
    expect(source.participants).toHaveLength(0)
  })

  it('joins a group under an id of its own, also twice with one process and with the longest id', async () => {
    const session = processes.spawnPassive()
    const id = 'x'.repeat(255)
    for (const given of [undefined, undefined, id, id]) {
      registry.register(
        'work',
        { id: given, join: () => ({ receive: () => {}, close: () => {} }) },
        { process: session },
      )
    }
    const ids = [...registry.group('work').consumers()].map((consumer) => consumer.id)
    expect(new Set(ids).size).toBe(4)
    expect(ids).toContain(id)
    await registry.group('work').close({ timeoutMs: 0 })
  })
})

describe('the fallback', () => {
  it('comes back after it was killed, and goes with the bus', async () => {
    registry = new ConversationRegistry({ processes, fallback: participantFromBehaviour(echo, 'bytes') })
    expect(processes.size).toBe(0)
    const first = registry.open('a', { ended: (error) => ends.push(error) })
    const pid = first.details.participant
    expect(pid).not.toBeNull()
    processes.exit(pid ?? 0, exitKilled())
    expect(ends).toMatchObject([{ code: 'PARTICIPANT_GONE' }])
    const second = registry.open('*', { ended: (error) => ends.push(error) })
    expect(second.details.participant).not.toBe(pid)
    const reply = await second.request(payload('x'), NO_CAUSE, {})
    expect(Buffer.from(reply).toString()).toBe('x')
    second.close()
    expect(processes.size).toBe(1)
    registry.closeAll(new LiminalError('CLOSED', 'over'))
    expect(processes.size).toBe(0)
  })
})
