import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  CONVERSATION_ANSWER_REFUSED,
  type ConversationCore,
  type ConversationInfo,
  ConversationRegistry,
  type MessageFate,
  type Participant,
  type ParticipantMessage,
  type ParticipantSource,
  type Registration,
} from '../../ts/conversation/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { exitError, exitKilled, exitNormal } from '../../ts/process/index.ts'
import { HandedBackError } from '../../ts/routing/index.ts'
import { NO_CAUSE, payload } from './participants.ts'

const SOURCES = 3

/** One request, as the test knows it. */
interface Asked {
  readonly name: string
  readonly attempts: Attempt[]
  readonly outcomes: string[]
}

/** One time that a participant was given a request. */
interface Attempt {
  readonly asked: Asked
  readonly number: number
  readonly source: number
  readonly signal: AbortSignal
  readonly fate: MessageFate
  /** What was said of it, by the participant or by its death. */
  end: 'answered' | 'failed' | 'handed-back' | 'crashed' | 'normal' | null
}

/** A bus whose participants do what the commands say. */
class World {
  readonly registry = new ConversationRegistry()
  readonly asked: Asked[] = []
  readonly attempts: Attempt[] = []
  readonly conversations: ConversationCore[] = []
  readonly endings = new Map<ConversationCore, number>()
  readonly registrations: Registration[] = []
  /** What participants saw that they must not see: what they throw would be an answer. */
  readonly violations: string[] = []
  refusals = 0

  constructor() {
    for (let index = 0; index < SOURCES; index++) this.registrations.push(this.#register(index))
  }

  open(isRerouted: boolean): void {
    let core: ConversationCore | null = null
    const ended = (): void => {
      if (core !== null) this.endings.set(core, (this.endings.get(core) ?? 0) + 1)
    }
    core = this.registry.open('work', { ended }, isRerouted ? { onCrash: 'route-to-next' } : null)
    this.conversations.push(core)
  }

  ask(pick: number): void {
    this.#attempt(pick, (core, asked) => this.#request(core, asked))
  }

  /** A message that wants no reply: that it is settled is all there is to hear. */
  send(pick: number): void {
    this.#attempt(pick, (core, asked) => {
      core.send(payload(asked.name), NO_CAUSE, () => asked.outcomes.push('done'))
    })
  }

  #attempt(pick: number, begin: (core: ConversationCore, asked: Asked) => void): void {
    const core = this.#pick(this.conversations, pick)
    if (core === undefined) return
    const asked: Asked = { name: String(this.asked.length), attempts: [], outcomes: [] }
    this.asked.push(asked)
    try {
      begin(core, asked)
    } catch (error) {
      asked.outcomes.push(error instanceof LiminalError ? error.code : 'thrown')
    }
  }

  #request(core: ConversationCore, asked: Asked): void {
    const observer = {
      replied: (reply: Uint8Array | null) => asked.outcomes.push(Buffer.from(reply ?? []).toString()),
      failed: (error: LiminalError) => asked.outcomes.push(error.code),
    }
    core.ask(payload(asked.name), NO_CAUSE, null, observer)
  }

  answer(pick: number, isWell: boolean): void {
    const attempt = this.#pick(this.attempts, pick)
    if (attempt === undefined) return
    const isLate = !this.#isAwaited(attempt)
    const { outcomes } = attempt.asked
    const before = outcomes.length
    attempt.end ??= isWell ? 'answered' : 'failed'
    const refusals = this.refusals
    if (isWell) attempt.fate.reply(payload(`${attempt.asked.name}:${attempt.number}`))
    else attempt.fate.fail(new LiminalError('RESPONDER_FAILED', 'no'))
    expect(outcomes.length).toBe(isLate ? before : before + 1)
    expect(this.refusals).toBe(isLate ? refusals + 1 : refusals)
  }

  handBack(pick: number): void {
    const attempt = this.#pick(this.attempts, pick)
    if (attempt === undefined) return
    attempt.end ??= 'handed-back'
    attempt.fate.handBack(new HandedBackError('not now'))
  }

  crash(pick: number, isNormal: boolean): void {
    const index = pick % SOURCES
    for (const attempt of this.attempts) {
      if (attempt.source === index) attempt.end ??= isNormal ? 'normal' : 'crashed'
    }
    this.registrations[index].exit(isNormal ? exitNormal() : exitKilled())
    // Somebody is always there: who is restarted is somebody new.
    this.registrations[index] = this.#register(index)
  }

  lose(pick: number): void {
    const participants = this.#participants
    const participant = this.#pick(participants, pick)
    if (participant === undefined) return
    for (const attempt of participant.attempts) attempt.end ??= 'crashed'
    participant.info.lost(exitError(new Error('its thread died')))
  }

  close(pick: number): void {
    this.#pick(this.conversations, pick)?.close()
  }

  finish(): void {
    for (const registration of this.registrations) registration.withdraw()
    for (const conversation of this.conversations) conversation.close()
    // What wants no reply is left to finish after a close.
    for (const attempt of this.attempts) attempt.fate.reply(null)
  }

  readonly #participants: { readonly info: ConversationInfo; readonly attempts: Attempt[] }[] = []

  #register(index: number): Registration {
    const source: ParticipantSource = {
      join: (info): Participant => {
        const attempts: Attempt[] = []
        this.#participants.push({ info, attempts })
        return {
          receive: (message, fate) => attempts.push(this.#received(index, message, fate)),
          close: () => {},
        }
      },
    }
    return this.registry.register('work', source)
  }

  #received(source: number, message: ParticipantMessage, fate: MessageFate): Attempt {
    const asked = this.asked[Number(Buffer.from(message.payload).toString())]
    // Never again once it is settled, and only after an attempt that was undone.
    if (asked.outcomes.length > 0) this.violations.push(`${asked.name} was run again after ${asked.outcomes[0]}`)
    for (const { end } of asked.attempts) {
      if (end !== 'crashed' && end !== 'handed-back') this.violations.push(`${asked.name} was run again after ${end}`)
    }
    const attempt: Attempt = { asked, number: message.attempt, source, signal: message.signal, fate, end: null }
    asked.attempts.push(attempt)
    this.attempts.push(attempt)
    return attempt
  }

  #isAwaited(attempt: Attempt): boolean {
    const { asked } = attempt
    return asked.outcomes.length === 0 && asked.attempts[asked.attempts.length - 1] === attempt
  }

  #pick<Item>(items: readonly Item[], pick: number): Item | undefined {
    return items[items.length - 1 - (pick % Math.max(1, items.length))]
  }
}

const pick = fc.nat({ max: 30 })
const command: fc.Arbitrary<(world: World) => void> = fc.oneof(
  { weight: 2, arbitrary: fc.boolean().map((isRerouted) => (world: World) => world.open(isRerouted)) },
  { weight: 2, arbitrary: pick.map((at) => (world: World) => world.send(at)) },
  { weight: 6, arbitrary: pick.map((at) => (world: World) => world.ask(at)) },
  {
    weight: 4,
    arbitrary: fc.tuple(pick, fc.boolean()).map(
      ([at, well]) =>
        (world: World) =>
          world.answer(at, well),
    ),
  },
  { weight: 3, arbitrary: pick.map((at) => (world: World) => world.handBack(at)) },
  {
    weight: 3,
    arbitrary: fc.tuple(pick, fc.boolean()).map(
      ([at, normal]) =>
        (world: World) =>
          world.crash(at, normal),
    ),
  },
  { weight: 1, arbitrary: pick.map((at) => (world: World) => world.lose(at)) },
  { weight: 1, arbitrary: pick.map((at) => (world: World) => world.close(at)) },
)

function check(world: World): void {
  expect(world.violations).toEqual([])
  for (const { name, attempts, outcomes } of world.asked) {
    // Settled exactly once, by the latest attempt if by any.
    expect(outcomes).toHaveLength(1)
    const last = attempts[attempts.length - 1]
    if (outcomes[0].startsWith(`${name}:`)) expect(outcomes[0]).toBe(`${name}:${last.number}`)
    // Each attempt has the next number, and there are three at most.
    expect(attempts.map(({ number }) => number)).toEqual(attempts.map((_, index) => index + 1))
    expect(attempts.length).toBeLessThanOrEqual(3)
    // An older attempt was told that nobody waits for it.
    for (const attempt of attempts.slice(0, -1)) expect(attempt.signal.aborted).toBe(true)
  }
  for (const conversation of world.conversations) expect(world.endings.get(conversation)).toBe(1)
}

function run(commands: readonly ((world: World) => void)[]): World {
  const world = new World()
  const listener = (): void => {
    world.refusals++
  }
  diagnosticsChannel(CONVERSATION_ANSWER_REFUSED).subscribe(listener)
  try {
    for (const step of commands) step(world)
    world.finish()
  } finally {
    diagnosticsChannel(CONVERSATION_ANSWER_REFUSED).unsubscribe(listener)
  }
  return world
}

describe('whatever happens in whatever order', () => {
  it('settles each request once, by its latest attempt, re-runs nothing that was answered, and leaves nothing behind', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60, size: 'max' }), (commands) => {
        const world = run(commands)
        check(world)
        expect(world.conversations.every(({ isOpen, pending }) => !isOpen && pending === 0)).toBe(true)
        expect(world.registry.size).toBe(0)
        expect(world.registry.subjects).toEqual([])
        expect(world.registry.processes.size).toBe(0)
      }),
      { numRuns: 1_000 },
    )
  })
})
