import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Journal, SNAPSHOT_EVERY, streamOf } from '../../../ts/conversation/journal/journal.ts'
import { encodeJournalEvent, type JournalEvent } from '../../../ts/conversation/journal/journal-event.ts'
import { ImpossibleEvent, JournalState } from '../../../ts/conversation/journal/journal-state.ts'
import { expiryOf } from '../../../ts/conversation/journal/retention.ts'
import { type EventStore, MemoryStore } from '../../../ts/durability/index.ts'
import { LiminalError } from '../../../ts/errors.ts'
import { story } from './events.ts'

const name = { subject: 's', key: 'k' }

/** What a state says, for comparisons. */
function shown(state: JournalState): unknown {
  const pending = [...state.pending.values()].map((request) => ({
    ...request,
    payload: [...request.payload],
    steps: [...request.steps.values()].map((step) => ({ ...step, output: step.output && [...step.output] })),
  }))
  const answered = [...state.answered].map(([id, answer]) => [
    id,
    answer.is === 'reply' ? [...answer.reply] : answer.error,
  ])
  return { opened: state.opened, closed: state.closed, pending, answered, history: state.history }
}

function replay(events: Iterable<JournalEvent>): JournalState {
  const state = new JournalState()
  for (const event of events) state.apply(event)
  return state
}

async function opened(store: EventStore): Promise<Journal> {
  const journal = await Journal.open(store, name)
  if (journal === null) throw new Error('There is no journal.')
  return journal
}

describe('the state of a journal', () => {
  it('is the same from its snapshot', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 300 }), fc.boolean(), (choices, closes) => {
        const state = replay(story(choices))
        if (closes) state.apply({ is: 'closed', at: 1_000, error: null, reason: 'enough' })
        expect(shown(replay(state.snapshot()))).toEqual(shown(state))
      }),
    )
  })

  it('refuses what cannot come', () => {
    const [open, ...rest] = story([0, 1, 5])
    const ofRequest = { at: 9, request: 'r-0' }
    const bad: [JournalEvent[], string][] = [
      [rest, 'not opened'],
      [[open, open], 'opened before'],
      [[open, rest[0], rest[0]], 'came before'],
      [[open, { ...ofRequest, is: 'reply', reply: new Uint8Array() }], 'not there'],
      [[open, { ...ofRequest, is: 'step', step: 'a', ordinal: 0, output: new Uint8Array() }], 'not there'],
      [[open, ...rest, { ...ofRequest, is: 'attempt', attempt: 1 }], 'came before'],
      [[open, ...rest, rest[2]], 'completed before'],
      [[open, { is: 'closed', at: 3, error: null, reason: null }, rest[0]], 'closed before'],
    ]
    for (const [events, why] of bad) {
      expect(() => replay(events), why).toThrow(ImpossibleEvent)
      expect(() => replay(events), why).toThrow(why)
    }
  })

  it('remembers the latest replies only, by number and by bytes', () => {
    const [open] = story([])
    const answer = (request: string, bytes: number): JournalEvent[] => [
      {
        is: 'request',
        at: 1,
        request,
        replyRequested: true,
        causal: { parentId: null, vectorClockEntry: null },
        isBegun: true,
        payload: new Uint8Array(),
      },
      { is: 'reply', at: 1, request, reply: new Uint8Array(bytes) },
    ]
    const many = replay([open, ...Array.from({ length: 1_030 }, (_, index) => answer(`r-${index}`, 1)).flat()])
    expect(many.answered.size).toBe(1_024)
    expect(many.answered.has('r-5')).toBe(false)
    expect(many.answered.has('r-6')).toBe(true)
    const large = replay([open, ...answer('a', 1_000), ...answer('b', 2 * 1024 * 1024)])
    expect([...large.answered.keys()]).toEqual(['b'])
  })
})

describe('a journal', () => {
  it('is read as it was written, with bounded effort', async () => {
    const store = new MemoryStore()
    const events = story(Array.from({ length: 2_000 }, (_, index) => (index * 7_919) % 1_000))
    const journal = Journal.create(store, name)
    for (const event of events) await journal.append(event)
    const { first, next } = await store.state(streamOf(name))
    expect(next).toBe(BigInt(events.length))
    expect(Number(next - first)).toBeLessThan(SNAPSHOT_EVERY)
    expect(first).toBeGreaterThan(0n)
    const again = await opened(store)
    expect(shown(again.state)).toEqual(shown(replay(events)))
    await again.append({ is: 'closed', at: 9_999, error: null, reason: null })
    expect((await opened(store)).state.closed).not.toBeNull()
  })

  it('keeps its end, and nothing else', async () => {
    const store = new MemoryStore()
    const journal = Journal.create(store, name)
    for (const event of story([0, 2, 7])) await journal.append(event)
    await journal.append({ is: 'closed', at: 9, error: { code: 'TIMEOUT', message: 'late' }, reason: null })
    await journal.finish(expiryOf(name, 1))
    expect((await store.keys('conversation', [])).keys).toEqual([])
    const { state, isKept } = await opened(store)
    expect(isKept).toBe(false)
    expect(shown(state)).toEqual(shown(journal.state))
  })

  it("is one writer's: the other is told", async () => {
    const store = new MemoryStore()
    const [open, ...events] = story([0, 7, 14])
    const one = Journal.create(store, name)
    await one.append(open)
    const other = await opened(store)
    await other.append(events[0])
    await expect(one.persist(events[1])).rejects.toMatchObject({ code: 'SEQUENCE_CONFLICT' })
    await expect(one.append(events[2])).rejects.toMatchObject({ code: 'SEQUENCE_CONFLICT' })
    expect(one.state.pending.size).toBe(0)
    expect((await opened(store)).state.pending.size).toBe(1)
  })

  it('names an event that it cannot use', async () => {
    const store = new MemoryStore()
    const journal = Journal.create(store, name)
    for (const event of story([0, 7])) await journal.append(event)
    const bytes = encodeJournalEvent({ is: 'attempt', at: 1, request: 'r-0', attempt: 2 }).fill(0, 1, 2)
    const events = { bytes, ends: new Uint32Array([bytes.length]) }
    await store.write([{ type: 'append', stream: streamOf(name), expected: 3n, events }])
    const error = await Journal.open(store, name).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(LiminalError)
    expect(error).toMatchObject({
      code: 'STORE_CORRUPT',
      message: expect.stringContaining("Event 3 of the journal conversation 's' 'k'"),
    })
  })

  it('takes nothing once it is closed, and writes what it had', async () => {
    const store = new MemoryStore()
    const journal = Journal.create(store, name)
    const [open, event] = story([0])
    const writing = [journal.append(open), journal.persist(event)]
    await journal.close(new LiminalError('CLOSED', 'over'))
    await Promise.all(writing)
    await expect(journal.append(event)).rejects.toMatchObject({ code: 'CLOSED' })
    expect((await opened(store)).state.pending.size).toBe(1)
  })
})
