import { type ConversationRegistry, IsolatedResponder, type IsolationOptions } from '../../ts/conversation/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import type { PayloadKind } from '../../ts/payload.ts'
import { NO_CAUSE } from './participants.ts'

export const module = (name: string): URL => new URL(`./isolated-modules/${name}.mjs`, import.meta.url)

/** A responder in threads that is ready, and what it ended with. */
export async function isolated(
  registry: ConversationRegistry,
  name: string,
  options: IsolationOptions = {},
  payload: PayloadKind = 'json',
): Promise<{ readonly responder: IsolatedResponder; readonly ends: LiminalError[] }> {
  const ends: LiminalError[] = []
  const owner = { ended: (error: LiminalError) => ends.push(error) }
  const responder = new IsolatedResponder(registry, 'work', module(name), payload, options, owner)
  await responder.ready
  return { responder, ends }
}

/** What became of a request: the text of its reply and of its parts, or the code and the message of its error. */
export interface Outcome {
  readonly parts: readonly string[]
  readonly reply?: string | null
  readonly error?: readonly [code: string, message: string]
}

/** Asks in a conversation of its own, and takes every part at once. */
export function outcome(registry: ConversationRegistry, request: Uint8Array, inParts: boolean): Promise<Outcome> {
  const conversation = registry.open('work', { ended: () => {} })
  const parts: string[] = []
  return new Promise<Outcome>((resolve) => {
    const exchange = conversation.ask(
      request,
      NO_CAUSE,
      null,
      {
        replied: (reply) => resolve({ parts, reply: reply === null ? null : Buffer.from(reply).toString() }),
        failed: ({ code, message }) => resolve({ parts, error: [code, message] }),
        part: (part) => {
          parts.push(Buffer.from(part).toString())
          exchange.take(parts.length)
        },
      },
      { inParts },
    )
  }).finally(() => conversation.close())
}

/** The value of a reply in JSON. @throws LiminalError */
export async function ask(
  registry: ConversationRegistry,
  value: unknown,
  limits: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
): Promise<unknown> {
  const conversation = registry.open('work', { ended: () => {} })
  try {
    const reply = await conversation.request(Buffer.from(JSON.stringify(value)), NO_CAUSE, limits)
    return JSON.parse(Buffer.from(reply).toString())
  } finally {
    conversation.close()
  }
}

/** The error that a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<LiminalError> {
  const error = await promise.then(
    () => new Error('It did not reject.'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof LiminalError) return error
  throw error
}
