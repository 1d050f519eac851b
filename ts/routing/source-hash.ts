import { createHash } from 'node:crypto'
import { invalidArgument } from '../arguments.ts'

/** SHA-256 of a source as 64 lower-case hex digits. */
export function sourceHash(source: string | Uint8Array): string {
  return createHash('sha256').update(source).digest('hex')
}

const NATIVE = /\{\s*\[native code\]\s*\}\s*$/

/**
 * SHA-256 of a function's text, and of what else tells it from functions with the same text.
 * @throws LiminalError `INVALID_ARGUMENT` for a bound or native function, whose text is not to be had.
 */
export function functionHash(argument: string, target: unknown, ...also: readonly string[]): string {
  if (typeof target !== 'function') throw invalidArgument(argument, 'a function', target)
  const text = Function.prototype.toString.call(target)
  if (NATIVE.test(text)) {
    throw invalidArgument(argument, 'a function whose source can be read (neither bound nor native)', target)
  }
  return sourceHash([text, ...also].join('\0'))
}
