import type { Readable } from 'node:stream'
import { LiminalError } from '../errors.ts'
import type { EndingSignal } from './exit-codes.ts'
import type { Output } from './output.ts'

/** What every command gets: where to read and write, and when to stop. */
export interface CommandContext {
  readonly output: Output
  readonly stdin: Readable & { readonly isTTY?: boolean }
  readonly environment: Readonly<Record<string, string | undefined>>
  /** What the user types to run this program. */
  readonly invocation: string
  /** Aborted by SIGINT or SIGTERM, its reason an {@link Interrupted}. */
  readonly signal: AbortSignal
}

/** Why {@link CommandContext.signal} was aborted. */
export class Interrupted extends Error {
  readonly signal: EndingSignal

  constructor(signal: EndingSignal) {
    super(`interrupted by ${signal}`)
    this.signal = signal
  }
}

/** Resolves once the signal is aborted. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** The error of something that the signal ended. */
export function abortedBy(signal: AbortSignal): LiminalError {
  return new LiminalError('ABORTED', 'interrupted', { cause: signal.reason })
}
