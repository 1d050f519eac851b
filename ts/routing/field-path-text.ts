import { Tokens } from './predicate-tokens.ts'

/** Where a value is in a message: member names and array indices, from the outside in. */
export type FieldPath = readonly string[]

const NAME = /^[A-Za-z_$@][A-Za-z0-9_$@-]*$/
const INDEX = /^(?:0|[1-9][0-9]{0,9})$/

/** @throws PredicateSyntaxError that points at the place where it stops being a path. */
export function parseFieldPath(text: string): FieldPath {
  const tokens = new Tokens(text)
  const path = readFieldPath(tokens)
  if (tokens.peek().kind !== 'end') throw tokens.unexpected('the end of the path')
  return path
}

/** Reads a path from the front of the tokens. A name, or a string in brackets, then any number of `.name`, `["name"]` and `[index]`. */
export function readFieldPath(tokens: Tokens): FieldPath {
  const segments: string[] = []
  const first = tokens.peek()
  if (first.kind === 'name') segments.push(tokens.take().text)
  else if (first.text === '[') segments.push(readBracket(tokens))
  else throw tokens.unexpected('a field')
  for (;;) {
    const { text } = tokens.peek()
    if (text === '.') {
      tokens.take()
      const name = tokens.peek()
      // Behind a dot no word is a keyword.
      if (name.kind !== 'name' && name.kind !== 'keyword') throw tokens.unexpected("a name behind '.'")
      segments.push(tokens.take().text)
    } else if (text === '[') {
      segments.push(readBracket(tokens))
    } else {
      return Object.freeze(segments)
    }
  }
}

/** The text of a path, which parses to the same path. */
export function formatFieldPath(path: FieldPath): string {
  return path
    .map((segment, at) => {
      if (INDEX.test(segment) && at > 0) return `[${segment}]`
      if (NAME.test(segment) && (at > 0 || !Tokens.isKeyword(segment))) return at === 0 ? segment : `.${segment}`
      return `[${JSON.stringify(segment)}]`
    })
    .join('')
}

function readBracket(tokens: Tokens): string {
  tokens.take()
  const segment = tokens.peek()
  const isIndex = segment.kind === 'number' && INDEX.test(segment.text)
  if (segment.kind !== 'string' && !isIndex) throw tokens.unexpected("an index or a quoted name behind '['")
  tokens.take()
  if (tokens.peek().text !== ']' || tokens.peek().kind !== 'mark') throw tokens.unexpected("']'")
  tokens.take()
  return segment.kind === 'string' ? String(segment.value) : segment.text
}
