import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  CONVERSATION_ANSWER_REFUSED,
  CONVERSATION_REROUTED,
  type ConversationCore,
  ConversationRegistry,
  type ConversationTerms,
  type Registration,
  SEND_FAILED,
} from '../../ts/conversation/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { exitError, exitKilled, exitNormal } from '../../ts/process/index.ts'
import { HandedBackError } from '../../ts/routing/index.ts'
import { NO_CAUSE, payload, rejection, ScriptedSource } from './participants.ts'

const REROUTED: ConversationTerms = { onCrash: 'route-to-next' }
const killed = exitKilled(new Error('out of memory'))
const undone = new HandedBackError('I am being shut down.')

let registry: ConversationRegistry
let sources: ScriptedSource[]
let registrations: Registration[]
let ends: (LiminalError | null)[]
let said: unknown[]
let stopListening: () => void

function listen(name: string): void {
  const listener = (message: unknown): void => {
    said.push(message)
  }
  diagnosticsChannel(name).subscribe(listener)
  const before = stopListening
  stopListening = () => {
    before()
    diagnosticsChannel(name).unsubscribe(listener)
  }
}

function add(count: number): void {
  for (let index = 0; index < count; index++) {
    const source = new ScriptedSource()
    sources.push(source)
    registrations.push(registry.register('work', source))
  }
}

function open(terms: ConversationTerms | null = null): ConversationCore {
  return registry.open('work', { ended: (error) => ends.push(error) }, terms)
}

function request(conversation: ConversationCore, text: string): Promise<string> {
  return conversation.request(payload(text), NO_CAUSE, {}).then((reply) => Buffer.from(reply).toString())
}

function participants(index: number): ScriptedSource['participants'] {
  return sources[index].participants
}

beforeEach(() => {
  registry = new ConversationRegistry({ history: 16 })
  sources = []
  registrations = []
  ends = []
  said = []
  stopListening = () => {}
})

afterEach(() => stopListening())

describe('the crash policy fail', () => {
  it('tells everybody who waits in the turn of the crash, and ends the conversation', async () => {
    add(2)
    const conversation = open()
    const heard: string[] = []
    for (const text of ['a', 'b']) {
      const observer = { replied: () => heard.push('replied'), failed: (error: LiminalError) => heard.push(error.code) }
      conversation.ask(payload(text), NO_CAUSE, null, observer)
    }
    const { signal } = participants(0)[0].messages[0]
    registrations[0].exit(killed)
    expect(heard).toEqual(['PARTICIPANT_GONE', 'PARTICIPANT_GONE'])
    expect(ends).toMatchObject([{ code: 'PARTICIPANT_GONE', cause: killed }])
    expect(conversation).toMatchObject({ phase: 'failed', pending: 0 })
    expect(signal.reason).toMatchObject({ code: 'PARTICIPANT_GONE' })
    expect(participants(1)).toHaveLength(0)
    expect(registry.size).toBe(0)
    expect(await rejection(request(conversation, 'c'))).toBe('PARTICIPANT_GONE')
  })

  it('closes after a normal exit, which is no crash', async () => {
    add(1)
    const idle = open()
    const busy = open()
    const waiting = request(busy, 'a')
    registrations[0].exit(exitNormal())
    expect(ends).toEqual([null, null])
    expect([idle.phase, busy.phase]).toEqual(['closed', 'closed'])
    expect(await rejection(waiting)).toBe('PARTICIPANT_GONE')
    await expect(waiting).rejects.toThrow(/may have handled the request/)
  })

  it('fails only the message that is handed back', async () => {
    add(2)
    const conversation = open()
    const first = request(conversation, 'a')
    const second = request(conversation, 'b')
    participants(0)[0].handBack(0, undone)
    await expect(first).rejects.toBe(undone)
    expect(conversation.phase).toBe('active')
    participants(0)[0].reply(1, 'B')
    expect(await second).toBe('B')
    expect(participants(1)).toHaveLength(0)
  })

  it('does not re-run what was answered just before', async () => {
    add(2)
    const conversation = open()
    const answered = request(conversation, 'a')
    participants(0)[0].reply(0, 'A')
    registrations[0].exit(killed)
    expect(await answered).toBe('A')
    expect(participants(1)).toHaveLength(0)
  })
})

describe('the crash policy route-to-next', () => {
  it('gives what is underway to another participant, with the attempt raised', async () => {
    listen(CONVERSATION_REROUTED)
    add(2)
    const conversation = open(REROUTED)
    const replies = [request(conversation, 'a'), request(conversation, 'b')]
    conversation.send(payload('c'), NO_CAUSE)
    const { signal } = participants(0)[0].messages[0]
    registrations[0].exit(killed)
    expect(participants(1)[0].payloads).toEqual(['a', 'b', 'c'])
    expect(participants(1)[0].messages.map(({ attempt }) => attempt)).toEqual([2, 2, 2])
    expect(participants(1)[0].messages.map(({ replyRequested }) => replyRequested)).toEqual([true, true, false])
    expect(signal.reason).toMatchObject({ code: 'ABORTED' })
    participants(1)[0].reply(2, null)
    participants(1)[0].reply(1, 'B')
    participants(1)[0].reply(0, 'A')
    expect(await Promise.all(replies)).toEqual(['A', 'B'])
    expect(conversation).toMatchObject({ phase: 'active', pending: 0 })
    expect(said).toHaveLength(3)
    const event = { subject: 'work', conversationId: conversation.id, attempt: 1, error: { code: 'PARTICIPANT_GONE' } }
    expect(said).toMatchObject([event, event, event])
    for (const one of said as { observedAt: number; startedAt: number }[]) {
      expect(one.startedAt).toBeGreaterThanOrEqual(one.observedAt)
    }
  })

  it('gives up after as many attempts as it may make, and says why', async () => {
    add(4)
    const conversation = open({ onCrash: 'route-to-next', maxAttempts: 2 })
    const reply = request(conversation, 'a')
    registrations[0].exit(killed)
    registrations[1].exit(exitError(new Error('a bug')))
    await expect(reply).rejects.toMatchObject({ code: 'PARTICIPANT_GONE', cause: { is: 'error' } })
    expect(participants(2)).toHaveLength(0)
    // The conversation goes on: it was the message that nobody survived.
    const next = request(conversation, 'b')
    participants(2)[0].reply(0, 'B')
    expect(await next).toBe('B')
  })

  it('tries three participants unless told otherwise', async () => {
    add(5)
    const reply = request(open(REROUTED), 'a')
    for (const registration of registrations) registration.exit(killed)
    expect(await rejection(reply)).toBe('PARTICIPANT_GONE')
    expect(sources.map(({ participants: { length } }) => length)).toEqual([1, 1, 1, 0, 0])
  })

  it('fails when nobody is left, and works again when somebody comes', async () => {
    add(1)
    const conversation = open(REROUTED)
    const reply = request(conversation, 'a')
    registrations[0].exit(killed)
    await expect(reply).rejects.toMatchObject({ code: 'PARTICIPANT_GONE', cause: { code: 'NO_RESPONDER' } })
    expect(conversation.phase).toBe('active')
    expect(await rejection(request(conversation, 'b'))).toBe('NO_RESPONDER')
    add(1)
    const next = request(conversation, 'c')
    expect(participants(1)[0].messages[0].attempt).toBe(1)
    participants(1)[0].reply(0, 'C')
    expect(await next).toBe('C')
  })

  it('keeps an idle conversation open for the next message', async () => {
    add(2)
    const conversation = open(REROUTED)
    registrations[0].exit(killed)
    expect(conversation.details).toMatchObject({ phase: 'created', participant: null })
    expect(ends).toEqual([])
    const reply = request(conversation, 'a')
    expect(conversation.details.participant).toBe(registrations[1].process.pid)
    participants(1)[0].reply(0, 'A')
    expect(await reply).toBe('A')
  })

  it('re-runs nothing after a normal exit, and goes on with somebody else', async () => {
    listen(SEND_FAILED)
    add(2)
    const conversation = open(REROUTED)
    const reply = request(conversation, 'a')
    conversation.send(payload('b'), NO_CAUSE)
    registrations[0].exit(exitNormal())
    expect(await rejection(reply)).toBe('PARTICIPANT_GONE')
    expect(said).toMatchObject([{ error: { code: 'PARTICIPANT_GONE' } }])
    expect(participants(1)).toHaveLength(0)
    expect(conversation).toMatchObject({ phase: 'active', pending: 0 })
    const next = request(conversation, 'c')
    participants(1)[0].reply(0, 'C')
    expect(await next).toBe('C')
  })

  it('never re-runs what was answered, with an error too', async () => {
    add(2)
    const conversation = open(REROUTED)
    const replies = [request(conversation, 'a'), request(conversation, 'b'), request(conversation, 'c')]
    participants(0)[0].reply(0, 'A')
    participants(0)[0].refuse(1, new LiminalError('RESPONDER_FAILED', 'no'))
    registrations[0].exit(killed)
    expect(participants(1)[0].payloads).toEqual(['c'])
    participants(1)[0].reply(0, 'C')
    expect(await replies[0]).toBe('A')
    expect(await rejection(replies[1])).toBe('RESPONDER_FAILED')
    expect(await replies[2]).toBe('C')
  })

  it('refuses what an older attempt answers, and says so', async () => {
    listen(CONVERSATION_ANSWER_REFUSED)
    add(3)
    const conversation = open(REROUTED)
    const reply = request(conversation, 'a')
    registrations[0].exit(killed)
    participants(0)[0].reply(0, 'too old')
    registrations[1].exit(killed)
    participants(1)[0].refuse(0, new LiminalError('RESPONDER_FAILED', 'too old as well'))
    participants(1)[0].handBack(0, undone)
    expect(said).toEqual([
      { subject: 'work', conversationId: conversation.id, attempt: 1 },
      { subject: 'work', conversationId: conversation.id, attempt: 2 },
    ])
    participants(2)[0].reply(0, 'A')
    expect(await reply).toBe('A')
    participants(0)[0].reply(0, 'far too old')
    participants(2)[0].reply(0, 'again')
    expect(said).toHaveLength(4)
  })

  it('does not re-run a reply of which parts were handed on', () => {
    add(2)
    const conversation = open(REROUTED)
    const heard: unknown[] = []
    const observer = {
      replied: () => heard.push('replied'),
      failed: ({ code }: LiminalError) => heard.push(code),
      part: (part: Uint8Array) => heard.push(Buffer.from(part).toString()),
    }
    conversation.ask(payload('a'), NO_CAUSE, null, observer, { inParts: true })
    conversation.ask(payload('b'), NO_CAUSE, null, observer, { inParts: true })
    participants(0)[0].part(0, 'one')
    registrations[0].exit(killed)
    expect(heard).toEqual(['one', 'PARTICIPANT_GONE'])
    expect(participants(1)[0].payloads).toEqual(['b'])
    participants(0)[0].part(1, 'from the dead')
    participants(1)[0].part(0, 'two')
    participants(1)[0].reply(0, null)
    expect(heard.slice(2)).toEqual(['two', 'replied'])
  })

  it('gives what is handed back to somebody else, while the former participant finishes the rest', async () => {
    add(2)
    const conversation = open(REROUTED)
    const replies = [request(conversation, 'a'), request(conversation, 'b')]
    participants(0)[0].handBack(0, undone)
    expect(participants(1)[0].payloads).toEqual(['a'])
    expect(participants(1)[0].messages[0].attempt).toBe(2)
    const third = request(conversation, 'c')
    expect(participants(1)[0].payloads).toEqual(['a', 'c'])
    expect(participants(0)[0].closes).toBe(0)
    participants(0)[0].reply(1, 'B')
    // It has nothing more to do here.
    expect(participants(0)[0].closes).toBe(1)
    participants(1)[0].reply(0, 'A')
    participants(1)[0].reply(1, 'C')
    expect(await Promise.all([...replies, third])).toEqual(['A', 'B', 'C'])
    expect(conversation.details.history.map(({ is }) => is)).toEqual(
      'joined request request handed-back joined rerouted request reply reply reply'.split(' '),
    )
  })

  it('re-routes what a former participant has when that crashes', async () => {
    add(2)
    const conversation = open(REROUTED)
    const replies = [request(conversation, 'a'), request(conversation, 'b')]
    participants(0)[0].handBack(0, undone)
    registrations[0].exit(killed)
    expect(participants(1)[0].payloads).toEqual(['a', 'b'])
    participants(1)[0].reply(0, 'A')
    participants(1)[0].reply(1, 'B')
    expect(await Promise.all(replies)).toEqual(['A', 'B'])
  })

  it('keeps a message from whoever handed it back, and only that one', async () => {
    add(2)
    const conversation = open(REROUTED)
    const first = request(conversation, 'a')
    participants(0)[0].handBack(0, undone)
    participants(1)[0].handBack(0, undone)
    await expect(first).rejects.toMatchObject({ code: 'PARTICIPANT_GONE', cause: { code: 'NO_RESPONDER' } })
    // Both are there for the next one.
    const second = request(conversation, 'b')
    const taker = participants(0).length > 1 ? 0 : 1
    participants(taker)[1].reply(0, 'B')
    expect(await second).toBe('B')
    expect(participants(0)[0].closes + participants(1)[0].closes).toBe(2)
  })

  it('does not give a message back to its shunner when that is the participant by now', async () => {
    add(2)
    const conversation = open(REROUTED)
    const first = request(conversation, 'a')
    participants(0)[0].handBack(0, undone)
    const second = request(conversation, 'b')
    // Now the first source is the participant again.
    participants(1)[0].handBack(1, undone)
    expect(participants(0)[1].payloads).toEqual(['b'])
    participants(1)[0].handBack(0, undone)
    expect(await rejection(first)).toBe('PARTICIPANT_GONE')
    expect(participants(0)[1].payloads).toEqual(['b'])
    participants(0)[1].reply(0, 'B')
    expect(await second).toBe('B')
  })

  it('hears of a participant that is no more while its source goes on', async () => {
    add(2)
    const conversation = open(REROUTED)
    const reply = request(conversation, 'a')
    participants(0)[0].conversation.lost(killed)
    participants(0)[0].conversation.lost(killed)
    expect(participants(1)[0].payloads).toEqual(['a'])
    participants(1)[0].reply(0, 'A')
    expect(await reply).toBe('A')
    conversation.close()
    expect(participants(0)[0].closes).toBe(0)
    expect(participants(1)[0].closes).toBe(1)
  })

  it('takes a participant that leaves with an error for the end of the conversation, and a former one for a crash', async () => {
    add(2)
    const failure = new LiminalError('RESPONDER_FAILED', 'I cannot go on.')
    const conversation = open(REROUTED)
    const replies = [request(conversation, 'a'), request(conversation, 'b')]
    participants(0)[0].handBack(0, undone)
    participants(0)[0].conversation.leave(failure)
    expect(participants(1)[0].payloads).toEqual(['a', 'b'])
    expect(ends).toEqual([])
    participants(1)[0].conversation.leave(failure)
    expect(ends).toEqual([failure])
    for (const reply of replies) await expect(reply).rejects.toBe(failure)
  })
})

describe('code that runs while a message is re-routed', () => {
  it('may end the conversation when it hears that its attempt is over', async () => {
    add(2)
    const conversation = open(REROUTED)
    const reply = request(conversation, 'a')
    participants(0)[0].messages[0].signal.addEventListener('abort', () => conversation.close())
    registrations[0].exit(killed)
    expect(await rejection(reply)).toBe('CONVERSATION_CLOSED')
    expect(participants(1)[0].messages).toHaveLength(0)
    expect(participants(1)[0].closes).toBe(1)
    expectNothingLeft()
  })

  it('may kill the next participant', async () => {
    add(3)
    const reply = request(open(REROUTED), 'a')
    participants(0)[0].messages[0].signal.addEventListener('abort', () => registrations[1].exit(killed))
    registrations[0].exit(killed)
    expect(participants(1)[0].messages).toHaveLength(0)
    expect(participants(2)[0].messages.map(({ attempt }) => attempt)).toEqual([3])
    participants(2)[0].reply(0, 'A')
    expect(await reply).toBe('A')
  })

  it('may end the conversation while it joins', async () => {
    add(1)
    const conversation = open(REROUTED)
    const second = new ScriptedSource()
    second.onJoin = () => conversation.close()
    registry.register('work', second)
    const reply = request(conversation, 'a')
    registrations[0].exit(killed)
    expect(await rejection(reply)).toBe('CONVERSATION_CLOSED')
    expect(second.participants[0].closes).toBe(1)
    expect(second.participants[0].messages).toHaveLength(0)
    expect(ends).toEqual([null])
  })

  it('may abort the request while it joins', async () => {
    add(1)
    const controller = new AbortController()
    const conversation = open(REROUTED)
    registrations[0].exit(killed)
    const second = new ScriptedSource()
    second.onJoin = () => controller.abort('enough')
    registry.register('work', second)
    const reply = conversation.request(payload('a'), NO_CAUSE, { signal: controller.signal })
    await expect(reply).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' })
    expect(second.participants[0].messages).toHaveLength(0)
    expect(conversation.pending).toBe(0)
  })

  it('may send a message while it joins', async () => {
    add(1)
    const conversation = open(REROUTED)
    registrations[0].exit(killed)
    const second = new ScriptedSource()
    let isFirst = true
    second.onJoin = () => {
      if (!isFirst) return
      isFirst = false
      conversation.send(payload('from within'), NO_CAUSE)
    }
    const registration = registry.register('work', second)
    const reply = request(conversation, 'a')
    const [outer, inner] = second.participants
    expect(inner.payloads).toEqual(['from within'])
    inner.reply(0, null)
    outer.reply(0, 'A')
    expect(await reply).toBe('A')
    conversation.close()
    registration.withdraw()
    expectNothingLeft()
  })

  it('may crash at each message it gets', async () => {
    add(4)
    for (const [index, source] of sources.entries()) source.onMessage = () => registrations[index].exit(killed)
    expect(await rejection(request(open(REROUTED), 'a'))).toBe('PARTICIPANT_GONE')
    expect(sources.map(({ participants: { length } }) => length)).toEqual([1, 1, 1, 0])
  })

  it('may crash or hand back after the conversation is over', () => {
    listen(SEND_FAILED)
    add(2)
    const first = open(REROUTED)
    first.send(payload('a'), NO_CAUSE)
    first.close()
    expect(first.phase).toBe('completing')
    participants(0)[0].handBack(0, undone)
    expect(said).toMatchObject([{ error: undone }])
    expect(first.phase).toBe('closed')
    const second = open(REROUTED)
    second.send(payload('b'), NO_CAUSE)
    second.close()
    registrations[1].exit(killed)
    expect(said).toMatchObject([{ error: undone }, { error: { code: 'PARTICIPANT_GONE' } }])
    expect(second.phase).toBe('closed')
    expect(participants(0)).toHaveLength(1)
    expectNothingLeft()
  })
})

function expectNothingLeft(): void {
  for (const registration of registrations) registration.withdraw()
  expect(registry.size).toBe(0)
  expect(registry.processes.size).toBe(0)
}
