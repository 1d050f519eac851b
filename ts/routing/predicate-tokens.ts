import { PredicateSyntaxError } from './predicate-syntax-error.ts'

/** A piece of a predicate's text. `mark` is an operator or a bracket. */
export interface Token {
  readonly kind: 'name' | 'keyword' | 'string' | 'number' | 'mark' | 'end'
  /** As written; empty at the end. */
  readonly text: string
  /** What a string or number stands for. */
  readonly value: string | number | null
  readonly offset: number
}

/** Most UTF-16 units of a predicate's text. */
const MAX_TEXT_LENGTH = 65_536

const KEYWORDS: ReadonlySet<string> = new Set([
  'and',
  'or',
  'not',
  'exists',
  'between',
  'in',
  'starts',
  'with',
  'true',
  'false',
  'null',
])

const SPACE = /[ \t\r\n]*/y
const NAME = /[A-Za-z_$@][A-Za-z0-9_$@-]*/y
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const STRING = /"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*'/y
const MARK = /!=|<=|>=|==|[=<>()[\].,]/y

/** The pieces of a text, one by one, looked at before they are taken. */
export class Tokens {
  readonly text: string
  #at = 0
  #next: Token

  /** @throws PredicateSyntaxError if the text is too long or does not begin with a piece. */
  constructor(text: string) {
    if (text.length > MAX_TEXT_LENGTH) {
      throw new PredicateSyntaxError(text, MAX_TEXT_LENGTH, `A predicate may have ${MAX_TEXT_LENGTH} characters.`)
    }
    this.text = text
    this.#next = this.#read()
  }

  static isKeyword(word: string): boolean {
    return KEYWORDS.has(word)
  }

  peek(): Token {
    return this.#next
  }

  /** @throws PredicateSyntaxError if what comes behind it is no piece. */
  take(): Token {
    const token = this.#next
    if (token.kind !== 'end') this.#next = this.#read()
    return token
  }

  /** Whether the next piece is this keyword or mark; takes it if so. */
  skip(text: string): boolean {
    const { kind, text: next } = this.#next
    if ((kind !== 'keyword' && kind !== 'mark') || next !== text) return false
    this.take()
    return true
  }

  /** The error of a piece that does not belong where it is. */
  unexpected(expected: string): PredicateSyntaxError {
    const { kind, text, offset } = this.#next
    const found = kind === 'end' ? 'the text ends' : `there is ${text.length > 40 ? `${text.slice(0, 37)}...` : text}`
    return this.failure(`Expected ${expected}, but ${found}`, offset)
  }

  /** An error that points at a place. */
  failure(problem: string, offset: number): PredicateSyntaxError {
    return new PredicateSyntaxError(this.text, offset, `${problem}:`)
  }

  #read(): Token {
    this.#match(SPACE)
    const offset = this.#at
    if (offset === this.text.length) return { kind: 'end', text: '', value: null, offset }
    const word = this.#match(NAME)
    if (word !== null) return { kind: KEYWORDS.has(word) ? 'keyword' : 'name', text: word, value: null, offset }
    const number = this.#match(NUMBER)
    if (number !== null) return this.#number(number, offset)
    const quoted = this.#match(STRING)
    if (quoted !== null) return { kind: 'string', text: quoted, value: this.#unquote(quoted, offset), offset }
    const mark = this.#match(MARK)
    if (mark !== null) return { kind: 'mark', text: mark, value: null, offset }
    const first = this.text[offset]
    const isQuote = first === '"' || first === "'"
    throw this.failure(isQuote ? 'A string is not closed on its line' : 'This character means nothing here', offset)
  }

  #number(text: string, offset: number): Token {
    const value = Number(text)
    if (!Number.isFinite(value)) throw this.failure('This number is too large for JSON numbers', offset)
    if (/[A-Za-z0-9_]/.test(this.text[this.#at] ?? '')) throw this.failure('This is no number as JSON has it', offset)
    return { kind: 'number', text, value, offset }
  }

  #unquote(quoted: string, offset: number): string {
    const body = quoted.slice(1, -1)
    // In single quotes, double quotes are plain and \' is a quote; JSON has it the other way round.
    const json =
      quoted[0] === "'" ? body.replace(/\\'|\\.|"/g, (part) => ({ "\\'": "'", '"': '\\"' })[part] ?? part) : body
    try {
      return String(JSON.parse(`"${json}"`))
    } catch {
      throw this.failure('A string has an escape or a character that JSON strings cannot have', offset)
    }
  }

  #match(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.text)
    if (found === null) return null
    this.#at = pattern.lastIndex
    return found[0]
  }
}
