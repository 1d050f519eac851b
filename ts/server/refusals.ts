import { type LiminalError, ProtocolError } from '../errors.ts'
import { Capability, EXTENSION_REASONS_START, ReasonCode, reasonOf } from '../protocol/index.ts'

/** UTF-16 units of an error's text that go on the wire: enough to act on, and an error frame always stays small. */
const LONGEST_TEXT = 1_024

/** The two fields that every error frame ends with. */
export interface Refusal {
  readonly reasonCode: number
  readonly message: string
}

/**
 * What an error frame says about an error. A peer without the `REASONS` capability gets 0xFFFF for the reason codes that 1.0 does not have.
 */
export function refusalOf(error: LiminalError, capabilities: number): Refusal {
  const named = error instanceof ProtocolError ? error.reasonCode : reasonOf(error.code)
  const understood = named < EXTENSION_REASONS_START || (capabilities & Capability.REASONS) !== 0
  return { reasonCode: understood ? named : ReasonCode.ServerError, message: wireText(error.message) }
}

/** A text for people as a frame takes it. */
export function wireText(message: string): string {
  // The way through UTF-8 replaces lone surrogates, of user code or of the cut, which have no place on the wire.
  return Buffer.from(message.length > LONGEST_TEXT ? `${message.slice(0, LONGEST_TEXT)}...` : message).toString()
}
