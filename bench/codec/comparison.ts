/** Several ways of doing the same thing, timed in turns. */
export interface Comparison {
  /** Comparisons of a group belong into one table. */
  readonly group: string
  /** Unique. */
  readonly case: string
  /** What the times are for. */
  readonly per: 'message' | 'frame' | 'call'
  /** Nanoseconds by who it was; null where this way does not exist. */
  readonly nanoseconds: Readonly<Record<string, number | null>>
  /** Bytes of one encoded message by who encoded it. */
  readonly encodedBytes?: Readonly<Record<string, number>>
}

/** A part of the benchmark that could not run here. */
export interface Skipped {
  readonly case: string
  /** Why, and what to do about it. */
  readonly skipped: string
}

/** A call to measure, by who does it. */
export interface Contender {
  readonly name: string
  readonly call: () => unknown
}

/** Nanoseconds to one decimal. */
export function nanoseconds(seconds: number, per: number): number {
  return Number(((seconds * 1e9) / per).toFixed(1))
}

/**
 * The comparisons of a group as lines of a table, the header first: ways of doing it against cases, the more numerous of them downwards. `cell` makes what
 * stands for one way in one case. Headers leave out what all cases begin with.
 */
export function grid(
  comparisons: readonly Comparison[],
  cell: (comparison: Comparison, name: string) => string,
): [name: string, ...cells: string[]][] {
  const names = Object.keys(comparisons[0].nanoseconds)
  if (names.length <= comparisons.length) {
    return [
      ['', ...names],
      ...comparisons.map((one): [string, ...string[]] => [one.case, ...names.map((name) => cell(one, name))]),
    ]
  }
  const shared = sharedWords(comparisons.map((one) => one.case))
  return [
    ['', ...comparisons.map((one) => one.case.slice(shared))],
    ...names.map((name): [string, ...string[]] => [name, ...comparisons.map((one) => cell(one, name))]),
  ]
}

/** Characters of the words that all texts begin with. */
function sharedWords(texts: readonly string[]): number {
  const words = texts.map((text) => text.split(' '))
  const different = words[0].findIndex((word, index) => words.some((other) => other[index] !== word))
  return words[0].slice(0, Math.max(0, different)).join(' ').length + (different > 0 ? 1 : 0)
}
