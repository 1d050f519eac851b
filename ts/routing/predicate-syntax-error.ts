import { LiminalError } from '../errors.ts'

/** A predicate's text that does not parse. Its message shows the line and points at the place. Its code is `INVALID_ARGUMENT`. */
export class PredicateSyntaxError extends LiminalError {
  /** Where in the text, in UTF-16 units, 0 for its beginning. */
  readonly offset: number
  /** Line of the place, from 1. */
  readonly line: number
  /** Column of the place in its line, in UTF-16 units, from 1. */
  readonly column: number

  constructor(text: string, offset: number, problem: string) {
    const start = text.lastIndexOf('\n', offset - 1) + 1
    const end = text.indexOf('\n', offset)
    const line = text.slice(0, start).split('\n').length
    const column = offset - start + 1
    super('INVALID_ARGUMENT', `${problem}\n${excerpt(text.slice(start, end === -1 ? text.length : end), column)}`)
    this.offset = offset
    this.line = line
    this.column = column
  }

  override get name(): string {
    return 'PredicateSyntaxError'
  }
}

const EXCERPT_BEFORE = 60
const EXCERPT_AFTER = 40

/** The line around the place, and a caret under the place. */
function excerpt(line: string, column: number): string {
  const at = column - 1
  const from = Math.max(0, at - EXCERPT_BEFORE)
  // Tabs and control characters would put the caret elsewhere.
  const shown = line.slice(from, at + EXCERPT_AFTER).replace(/\p{Cc}/gu, ' ')
  return `  ${shown}\n  ${' '.repeat(at - from)}^`
}
