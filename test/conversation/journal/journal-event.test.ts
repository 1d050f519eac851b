import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeJournalEvent,
  encodeJournalEvent,
  type JournalEvent,
  UnreadableEvent,
} from '../../../ts/conversation/journal/journal-event.ts'
import { journalEvents } from './events.ts'

describe('an event of a journal', () => {
  it('comes back as it was written', () => {
    fc.assert(
      fc.property(journalEvents(), (event) => {
        expect(decodeJournalEvent(new Uint8Array(encodeJournalEvent(event)))).toEqual(event)
      }),
    )
  })

  it('is refused if anything of it is cut off, and never taken for another one', () => {
    fc.assert(
      fc.property(journalEvents(), fc.nat(), (event, at) => {
        const bytes = encodeJournalEvent(event)
        const cut = bytes.subarray(0, at % bytes.length)
        let read: JournalEvent
        try {
          read = decodeJournalEvent(cut)
        } catch (error) {
          expect(error).toBeInstanceOf(UnreadableEvent)
          return
        }
        // Only the content may be shorter: how long it is, the store knows.
        expect(read.is).toBe(event.is)
        expect(['request', 'step', 'reply']).toContain(read.is)
      }),
    )
  })

  it('is refused in any other form', () => {
    const good = encodeJournalEvent({ is: 'attempt', at: 1, request: 'r', attempt: 2 })
    const changed = (change: (bytes: Uint8Array) => void): Uint8Array => {
      const bytes = new Uint8Array(good)
      change(bytes)
      return bytes
    }
    const withFields = (fields: string): Uint8Array => {
      const text = Buffer.from(fields)
      return Buffer.concat([good.subarray(0, 2), Buffer.from([0, 0, 0, text.length]), text])
    }
    const bad: [string, Uint8Array][] = [
      ['version', changed((bytes) => bytes.fill(2, 0, 1))],
      ['kind', changed((bytes) => bytes.fill(99, 1, 2))],
      ['reach past', changed((bytes) => bytes.fill(0xff, 2, 6))],
      ['not JSON', withFields('{')],
      ['no object', withFields('[]')],
      ["'request'", withFields('{"at":1,"attempt":2}')],
      ["'attempt'", withFields('{"at":1,"request":"r","attempt":0}')],
      ["'at'", withFields('{"at":"1","request":"r","attempt":1}')],
      ['content', Buffer.concat([good, Buffer.from('x')])],
    ]
    for (const [why, bytes] of bad) {
      expect(() => decodeJournalEvent(bytes), why).toThrow(why)
    }
  })
})
