import { checkInteger, invalidArgument } from '../arguments.ts'
import type { PeekOptions } from './administration.ts'
import { startOf } from './subscribe-arguments.ts'

/** Messages that one look at a log shows, unless told otherwise, and at most. */
const PEEKED = 10
const MOST_PEEKED = 1_024
/** Bytes of their payloads, unless told otherwise. */
const PEEKED_BYTES = 64 * 1024 * 1024

/** Bytes of payloads that a server answers with: what a reply has room for, in base64. */
export const PEEKED_AT_ONCE_BYTES = 4 * 1024 * 1024

/** What a look at a log shows. */
export interface PeekTerms {
  readonly from: ReturnType<typeof startOf>
  readonly limit: number
  readonly maxBytes: number
}

/** The terms of a look, with every default filled in. @throws LiminalError `INVALID_ARGUMENT`. */
export function peekTerms({ from = 'earliest', limit = PEEKED, maxBytes = PEEKED_BYTES }: PeekOptions): PeekTerms {
  checkInteger('limit', limit, 1)
  if (limit > MOST_PEEKED) throw invalidArgument('limit', `at most ${MOST_PEEKED}`, limit)
  checkInteger('maxBytes', maxBytes, 1)
  return { from: startOf('from', from), limit, maxBytes }
}
