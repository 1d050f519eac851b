import { describe } from './arguments.ts'
import { LiminalError } from './errors.ts'

/** Whatever was thrown, as an error of this package: itself, or an `INTERNAL` that has it as its cause. */
export function toLiminalError(thrown: unknown): LiminalError {
  if (thrown instanceof LiminalError) return thrown
  const text = thrown instanceof Error ? thrown.message : describe(thrown)
  return new LiminalError('INTERNAL', `Something failed that should not: ${text}`, { cause: thrown })
}
