import { types } from 'node:util'
import { describe } from './arguments.ts'
import { LiminalError } from './errors.ts'

/**
 * What code of users throws may be anything: its getters may throw, its `message` may be no text, and a Proxy may refuse every question. Whoever looks at it looks through
 * these, which never throw: otherwise a failure in one behaviour would be one of whoever reports it.
 */

/** Whether it is an error. */
export function isError(thrown: unknown): thrown is Error {
  try {
    return thrown instanceof Error
  } catch {
    return false
  }
}

/** What it says: its message if it is an error that has one as text, else what it looks like. */
export function textOf(thrown: unknown): string {
  try {
    if (thrown instanceof Error && typeof thrown.message === 'string') return thrown.message
  } catch {
    // What it looks like can be told all the same.
  }
  return describe(thrown)
}

/** What kind of error it calls itself, `''` if it does not say. */
export function nameOf(thrown: unknown): string {
  try {
    if (thrown instanceof Error && typeof thrown.name === 'string') return thrown.name
  } catch {
    // It does not say.
  }
  return ''
}

/** It, if it is an error of this package that can be read without surprises; else `null`. */
export function asLiminalError(thrown: unknown): LiminalError | null {
  if (!(thrown instanceof LiminalError) || types.isProxy(thrown)) return null
  return isOwnText(thrown, 'message') && isOwnText(thrown, 'code') ? thrown : null
}

/** Whatever was thrown, as an error of this package: itself, or an `INTERNAL` that has it as its cause. */
export function toLiminalError(thrown: unknown): LiminalError {
  return (
    asLiminalError(thrown) ??
    new LiminalError('INTERNAL', `Something failed that should not: ${textOf(thrown)}`, { cause: thrown })
  )
}

/** A text as a sentence: with one full stop at its end. */
export function asSentence(text: string): string {
  return /[.!?…]$/.test(text) ? text : `${text}.`
}

/** A getter could answer differently the next time, or throw. */
function isOwnText(value: object, name: string): boolean {
  return typeof Object.getOwnPropertyDescriptor(value, name)?.value === 'string'
}
