import { InvalidArgumentError } from 'commander'
import type { StartPosition } from '../bus/index.ts'

/** How `--from` and the like are described. */
export const START_HELP = 'latest, earliest, a position, or a time such as 2026-01-31T12:00:00Z'

const LAST_POSITION = 0xffff_ffff_ffff_ffffn

/** A parser of places in a log for commander. */
export function startPosition(text: string): StartPosition {
  if (text === 'latest' || text === 'earliest') return text
  if (/^\d{1,20}$/.test(text) && BigInt(text) <= LAST_POSITION) return { position: BigInt(text) }
  const time = /^\d{4}-/.test(text) ? Date.parse(text) : Number.NaN
  if (!(time >= 0)) throw new InvalidArgumentError(`Give ${START_HELP}.`)
  return { time }
}

/** A parser of positions for commander. */
export function logPosition(text: string): bigint {
  if (/^\d{1,20}$/.test(text) && BigInt(text) <= LAST_POSITION) return BigInt(text)
  throw new InvalidArgumentError('Give a position: a whole number from 0 on.')
}
