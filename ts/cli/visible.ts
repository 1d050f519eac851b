// C0 and C1 controls, and the line separators that some terminals and log readers break at.
const UNFIT_TO_SHOW = /[\p{Cc}\u2028\u2029]/gu

/** Text of others, fit for a terminal and for one line of a log: control characters, escape sequences with them, become `\uXXXX`. */
export function visible(text: string): string {
  return text.replace(UNFIT_TO_SHOW, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A JSON document as one line. JSON escapes C0 by itself; the C1 controls that are left can only be inside of its strings, where the same escape holds. */
export function jsonLine(value: unknown): string {
  return visible(JSON.stringify(value))
}
