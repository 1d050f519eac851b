/** UTF-16 units of an error's text that go on the wire. */
const LONGEST_TEXT = 1_024
/** The same where the text must fit a head: every unit may take six bytes of JSON there. */
const LONGEST_HEAD_TEXT = 512

/** A message as an error frame takes it. The way through UTF-8 replaces lone surrogates, which have no place on the wire. */
export function wireText(message: string): string {
  return shortened(message, LONGEST_TEXT)
}

/** A message as a head takes it. */
export function headText(message: string): string {
  return shortened(message, LONGEST_HEAD_TEXT)
}

function shortened(message: string, most: number): string {
  return Buffer.from(message.length > most ? `${message.slice(0, most)}...` : message).toString()
}
