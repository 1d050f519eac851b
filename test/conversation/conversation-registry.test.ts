import { beforeEach, describe, expect, it } from 'vitest'
import { ConversationRegistry, echo, type Participant, participantFromBehaviour } from '../../ts/conversation/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { NO_CAUSE, payload, rejection, ScriptedSource } from './participants.ts'

let registry: ConversationRegistry

beforeEach(() => {
  registry = new ConversationRegistry()
})

function open(subject = 'work'): ReturnType<ConversationRegistry['open']> {
  return registry.open(subject, { ended: () => {} })
}

describe('the conversation registry', () => {
  it('knows who answers', () => {
    expect(() => open()).toThrow(/Nobody answers/)
    const registration = registry.register('work', new ScriptedSource())
    expect(registry.subjects).toEqual(['work'])
    open()
    registration.withdraw()
    registration.withdraw()
    expect(registry.subjects).toEqual([])
    expect(() => open()).toThrow(/Nobody answers/)
  })

  it('lets sources of one subject take turns, through withdrawals', () => {
    const sources = [new ScriptedSource(), new ScriptedSource(), new ScriptedSource()]
    const registrations = sources.map((source) => registry.register('work', source))
    const turns = (): number[] => sources.map((source) => source.participants.length)
    for (let count = 0; count < 4; count++) open()
    expect(turns()).toEqual([2, 1, 1])
    registrations[0].withdraw()
    open()
    expect(turns()).toEqual([2, 2, 1])
    open()
    expect(turns()).toEqual([2, 2, 2])
    registrations[2].withdraw()
    open()
    open()
    expect(turns()).toEqual([2, 4, 2])
  })

  it('keeps running conversations when their source is withdrawn', async () => {
    const source = new ScriptedSource()
    const registration = registry.register('work', source)
    const conversation = open()
    registration.withdraw()
    const reply = conversation.request(payload('a'), NO_CAUSE, {})
    source.participants[0].reply(0, 'A')
    expect(Buffer.from(await reply).toString()).toBe('A')
  })

  it('passes over a source that cannot join', () => {
    const gone = new LiminalError('PARTICIPANT_GONE', 'The connection was lost.')
    const broken = registry.register('work', {
      join: () => {
        throw gone
      },
    })
    expect(() => open()).toThrow(gone)
    const source = new ScriptedSource()
    registry.register('work', source)
    for (let count = 0; count < 3; count++) open()
    expect(source.participants).toHaveLength(3)
    broken.withdraw()
    expect(registry.size).toBe(3)
  })

  it('asks only for one reason where no source can join', () => {
    let joins = 0
    const full = { canJoin: (): boolean => free, join }
    let free = false
    function join(): Participant {
      joins++
      if (!free) throw new LiminalError('LIMIT_EXCEEDED', 'full')
      return { receive: () => {}, close: () => {} }
    }
    for (let count = 0; count < 1_000; count++) registry.register('work', full)
    expect(() => open()).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }))
    expect(joins).toBe(1)
    const source = new ScriptedSource()
    registry.register('work', source)
    open()
    expect([joins, source.participants.length]).toEqual([1, 1])
    free = true
    open()
    expect(joins).toBe(2)
  })

  it('treats a participant that leaves while it joins as one that did not join', () => {
    let ended = 0
    registry.register('work', {
      join: (conversation) => {
        conversation.leave(null)
        return { receive: () => {}, close: () => {} }
      },
    })
    expect(() => registry.open('work', { ended: () => ended++ })).toThrow(/left/)
    expect(ended).toBe(0)
    expect(registry.size).toBe(0)
  })

  it('gives every conversation an id of its own', () => {
    registry.register('work', new ScriptedSource())
    const ids = [open().id, open().id, open().id]
    expect(new Set(ids).size).toBe(3)
  })

  it('forgets conversations that are over', async () => {
    registry.register('thirds', participantFromBehaviour(fussy, 'json'))
    for (let count = 0; count < 10_000; count++) {
      const conversation = open('thirds')
      const reply = conversation.request(payload(String(count)), NO_CAUSE, { timeoutMs: 5_000 })
      if (count % 3 === 0) expect(await rejection(reply)).toBe('RESPONDER_FAILED')
      else await reply
      conversation.close()
    }
    expect(registry.size).toBe(0)
  })

  it('has a cap on live conversations', () => {
    registry = new ConversationRegistry({ maxConversations: 2 })
    registry.register('work', new ScriptedSource())
    const first = open()
    open()
    expect(() => open()).toThrow(expect.objectContaining({ code: 'LIMIT_EXCEEDED' }))
    first.close()
    open()
  })

  it('answers with its fallback where nobody else does', async () => {
    registry = new ConversationRegistry({ fallback: participantFromBehaviour(echo, 'bytes') })
    const reply = await open('anything').request(Uint8Array.of(0xff, 0), NO_CAUSE, {})
    expect([...reply]).toEqual([0xff, 0])
  })

  it('ends them all', async () => {
    registry.register('work', new ScriptedSource())
    const ends: unknown[] = []
    const pending = [1, 2].map(() =>
      registry.open('work', { ended: (error) => ends.push(error) }).request(payload('a'), NO_CAUSE, {}),
    )
    const error = new LiminalError('CLOSED', 'over')
    registry.closeAll(error)
    for (const promise of pending) await expect(promise).rejects.toBe(error)
    expect(ends).toEqual([error, error])
    expect(registry.size).toBe(0)
  })

  it('refuses subjects that are no names', () => {
    for (const subject of ['', 'a\tb', 'x'.repeat(256)]) {
      const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' })
      expect(() => registry.register(subject, new ScriptedSource())).toThrow(invalid)
      expect(() => open(subject)).toThrow(invalid)
    }
  })
})

function fussy(value: unknown): unknown {
  if (Number(value) % 3 === 0) throw new Error('not by three')
  return value
}
