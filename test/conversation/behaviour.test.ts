import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import { describe, expect, it } from 'vitest'
import {
  BEHAVIOUR_FAILED,
  type Behaviour,
  type BehaviourContext,
  ConversationRegistry,
  echo,
  participantFromBehaviour,
} from '../../ts/conversation/index.ts'
import type { PayloadKind } from '../../ts/payload.ts'
import { NO_CAUSE, payload } from './participants.ts'

async function ask(behaviour: Behaviour, text: string, kind: PayloadKind = 'json'): Promise<string> {
  const registry = new ConversationRegistry()
  registry.register('work', participantFromBehaviour(behaviour, kind))
  const conversation = registry.open('work', { ended: () => {} })
  const reply = await conversation.request(payload(text), NO_CAUSE, {})
  return Buffer.from(reply).toString()
}

describe('a behaviour as a participant', () => {
  it('gets the value and gives the reply, at once or later', async () => {
    expect(await ask((value) => ({ got: value }), '[1]')).toBe('{"got":[1]}')
    expect(await ask(async (value) => value, '"x"')).toBe('"x"')
    expect(await ask(() => undefined, '1')).toBe('null')
    expect(await ask(echo, ' not { json ', 'bytes')).toBe(' not { json ')
  })

  it.each<[string, Behaviour, PayloadKind]>([
    [
      'throws',
      () => {
        throw new Error('boom')
      },
      'json',
    ],
    ['rejects', () => Promise.reject(new Error('boom')), 'json'],
    ['answers with what has no JSON form', () => 1n, 'json'],
    ['answers with something other than bytes', () => 'text', 'bytes'],
  ])('fails the request, and only that, when it %s', async (_what, behaviour, kind) => {
    await expect(ask(behaviour, '1', kind)).rejects.toMatchObject({ code: 'RESPONDER_FAILED' })
  })

  it('says what it threw, in the message, as the cause, and on the diagnostics channel', async () => {
    const said: unknown[] = []
    const listener = (message: unknown): void => {
      said.push(message)
    }
    diagnosticsChannel(BEHAVIOUR_FAILED).subscribe(listener)
    const cause = new TypeError('boom')
    const failing = ask(() => {
      throw cause
    }, '1')
    await expect(failing).rejects.toMatchObject({ cause, message: expect.stringMatching(/'work'.*boom/) })
    diagnosticsChannel(BEHAVIOUR_FAILED).unsubscribe(listener)
    expect(said).toMatchObject([{ subject: 'work', error: { code: 'RESPONDER_FAILED', cause } }])
  })

  it('survives whatever is thrown', async () => {
    const hostile = {
      toString: () => {
        throw new Error('no')
      },
      [Symbol.for('nodejs.util.inspect.custom')]: () => {
        throw new Error('no')
      },
    }
    for (const thrown of [undefined, null, 'text', 7n, Symbol('s'), hostile, Object.create(null)]) {
      await expect(ask(() => Promise.reject(thrown), '1')).rejects.toMatchObject({ code: 'RESPONDER_FAILED' })
    }
  })

  it('is not bothered with requests that are not JSON', async () => {
    let calls = 0
    await expect(ask(() => calls++, 'not json')).rejects.toMatchObject({ code: 'PAYLOAD_INVALID' })
    expect(calls).toBe(0)
  })

  it('sees its signal aborted when the asker leaves, even if it looks only then', async () => {
    const registry = new ConversationRegistry()
    let context: BehaviourContext | null = null
    const behaviour = (_request: unknown, given: BehaviourContext): Promise<void> => {
      context = given
      return new Promise(() => {})
    }
    registry.register('work', participantFromBehaviour(behaviour, 'json'))
    const conversation = registry.open('work', { ended: () => {} })
    const causal = { parentId: 'p', vectorClockEntry: 3n }
    const pending = conversation.request(payload('1'), causal, {})
    conversation.close()
    await expect(pending).rejects.toMatchObject({ code: 'CONVERSATION_CLOSED' })
    expect(context).toMatchObject({ subject: 'work', conversationId: conversation.id, attempt: 1, causal })
    expect(context).toHaveProperty('signal.aborted', true)
  })
})
