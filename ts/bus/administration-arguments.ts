import { checkKnownOptions, checkOptions, invalidArgument } from '../arguments.ts'
import { checkWait } from '../waiting.ts'
import type { WaitOptions } from './bus.ts'
import { startOf } from './subscribe-arguments.ts'
import type { StartPosition } from './subscription.ts'

const WAIT_OPTIONS = ['timeoutMs', 'signal']
const LAST_POSITION = 0xffff_ffff_ffff_ffffn

/** Checks the options of an operation. A misspelt one would be taken for its default, which for a purge is everything. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkAdministrationOptions(options: WaitOptions, known: readonly string[] = []): void {
  checkOptions('options', options)
  checkKnownOptions('options', options, [...WAIT_OPTIONS, ...known])
  checkWait(options)
}

/** Before which position a log is purged; `null`: all of it. @throws LiminalError `INVALID_ARGUMENT`. */
export function purgedBefore(options: WaitOptions & { readonly before?: bigint }): bigint | null {
  checkAdministrationOptions(options, ['before'])
  const { before } = options
  if (before === undefined) return null
  if (typeof before !== 'bigint' || before < 0n || before > LAST_POSITION) {
    throw invalidArgument('before', 'a bigint from 0 on', before)
  }
  return before
}

/** Where a cursor is to be moved. It has no default: a variable that is undefined by mistake would skip all that there is. @throws LiminalError `INVALID_ARGUMENT`. */
export function cursorPlace(to: StartPosition): ReturnType<typeof startOf> {
  if (to === undefined) throw invalidArgument('to', "'latest', 'earliest', { position } or { time }", to)
  return startOf('to', to)
}
