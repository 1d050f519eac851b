import * as fc from 'fast-check'
import type { JournalEvent } from '../../../ts/conversation/journal/journal-event.ts'
import type { CausalContext } from '../../../ts/protocol/index.ts'

const text = (): fc.Arbitrary<string> => fc.string({ unit: 'grapheme', maxLength: 20 })
const bytes = (): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength: 64 }).map((array) => new Uint8Array(array))
const time = (): fc.Arbitrary<number> => fc.nat()
const causal = (): fc.Arbitrary<CausalContext> =>
  fc.record({
    parentId: fc.option(text()),
    vectorClockEntry: fc.option(fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn })),
  })
const error = () => fc.record({ code: fc.constantFrom('TIMEOUT', 'RESPONDER_FAILED'), message: text() })

/** Any event. What is compared afterwards is a Uint8Array and no Buffer. */
export function journalEvents(): fc.Arbitrary<JournalEvent> {
  const at = time()
  const request = text()
  const step = text()
  const ordinal = fc.nat()
  const any: fc.Arbitrary<unknown> = fc.oneof(
    fc.record({
      is: fc.constant('opened'),
      at,
      subject: text(),
      key: text(),
      instance: text(),
      onCrash: fc.constantFrom('fail', 'route-to-next'),
      maxAttempts: fc.integer({ min: 1, max: 99 }),
      deadline: fc.option(time()),
      idleTimeoutMs: fc.option(time()),
      causal: fc.option(causal()),
    }),
    fc.record({
      is: fc.constant('request'),
      at,
      request,
      replyRequested: fc.boolean(),
      causal: causal(),
      isBegun: fc.boolean(),
      payload: bytes(),
    }),
    fc.record({ is: fc.constant('attempt'), at, request, attempt: fc.integer({ min: 1 }) }),
    fc.record({ is: fc.constant('step'), at, request, step, ordinal, output: bytes() }),
    fc.record({
      is: fc.constant('step-failed'),
      at,
      request,
      step,
      ordinal,
      failures: fc.integer({ min: 1 }),
      message: text(),
    }),
    fc.record({ is: fc.constant('reply'), at, request, reply: bytes() }),
    fc.record({ is: fc.constant('error'), at, request, error: error() }),
    fc.record({ is: fc.constant('closed'), at, error: fc.option(error()), reason: fc.option(text()) }),
    fc.record({
      is: fc.constant('remembered'),
      at,
      history: fc.array(fc.record({ at, is: fc.constantFrom('request', 'reply', 'failed'), attempt: fc.nat() })),
    }),
  )
  return any as fc.Arbitrary<JournalEvent>
}

/** Events that may follow each other, from the beginning of a conversation: what a scribe would write for these numbers. */
export function story(choices: readonly number[]): JournalEvent[] {
  const events: JournalEvent[] = [
    {
      is: 'opened',
      at: 1,
      subject: 's',
      key: 'k',
      instance: 'i',
      onCrash: 'route-to-next',
      maxAttempts: 16,
      deadline: 99,
      idleTimeoutMs: null,
      causal: null,
    },
  ]
  const open = new Map<string, { attempt: number; steps: number; failures: number }>()
  let made = 0
  for (const [index, choice] of choices.entries()) {
    const at = index + 2
    const requests = [...open.keys()]
    const request = requests[choice % Math.max(1, requests.length)]
    const state = open.get(request)
    if (state === undefined || choice % 7 === 0) {
      const isBegun = choice % 2 === 0
      const id = `r-${made++}`
      const causal = { parentId: null, vectorClockEntry: 5n }
      const payload = new Uint8Array([choice % 256])
      events.push({ is: 'request', at, request: id, replyRequested: choice % 3 !== 0, causal, isBegun, payload })
      open.set(id, { attempt: isBegun ? 1 : 0, steps: 0, failures: 0 })
    } else if (choice % 7 === 1) {
      state.attempt++
      events.push({ is: 'attempt', at, request, attempt: state.attempt })
    } else if (choice % 7 === 2) {
      events.push({ is: 'reply', at, request, reply: new Uint8Array([1, 2]) })
      open.delete(request)
    } else if (choice % 7 === 3) {
      events.push({ is: 'error', at, request, error: { code: 'RESPONDER_FAILED', message: 'no' } })
      open.delete(request)
    } else if (choice % 7 === 4) {
      state.failures++
      const { failures, steps: ordinal } = state
      events.push({ is: 'step-failed', at, request, step: 'a', ordinal, failures, message: 'no' })
    } else {
      events.push({ is: 'step', at, request, step: 'a', ordinal: state.steps, output: new Uint8Array([choice % 256]) })
      state.steps++
      state.failures = 0
    }
  }
  return events
}
