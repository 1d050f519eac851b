import { type ErrorCode, LiminalError, ProtocolError } from '../errors.ts'
import { codeOf } from '../protocol/index.ts'

/** The two fields that every error frame ends with. */
export interface Refusal {
  readonly reasonCode: number
  readonly message: string | null
}

/**
 * The error that a server's error frame stands for, in the server's words.
 *
 * @param unknownCode what a reason code that says nothing more than "failed" stands for.
 */
export function errorFromPeer(refusal: Refusal, unknownCode: ErrorCode = 'REMOTE_ERROR'): LiminalError {
  const { reasonCode } = refusal
  const known = codeOf(reasonCode)
  const code = known === 'REMOTE_ERROR' ? unknownCode : known
  const text = refusal.message ?? `The server refused with reason code 0x${reasonCode.toString(16).padStart(4, '0')}.`
  const isProtocol = reasonCode > 0 && reasonCode < 0x0100 && known !== 'REMOTE_ERROR'
  return isProtocol ? new ProtocolError(code, reasonCode, text) : new LiminalError(code, text)
}

/** The error of a call that was written when its connection went away: `CLOSED` if the bus was closed, else `CONNECTION_LOST`. */
export function lostError(what: string, cause: LiminalError): LiminalError {
  if (cause.code === 'CLOSED')
    return new LiminalError(
      'CLOSED',
      `${what} was underway when the bus was closed; whether it had an effect is unknown.`,
    )
  return new LiminalError(
    'CONNECTION_LOST',
    `${what} was underway when the connection was lost; whether it had an effect is unknown. ${cause.message}`,
    { cause },
  )
}

/** The error of a call that was never written when the bus ended: `CLOSED` if that was by `close()`, else what ended it. */
export function endedError(what: string, cause: LiminalError): LiminalError {
  if (cause.code === 'CLOSED') return new LiminalError('CLOSED', `${what} was never sent: the bus was closed.`)
  return new LiminalError(cause.code, `${what} was never sent. ${cause.message}`, { cause })
}

/** The error of a call on a bus that is closed. `cause` is what closed it. */
export function closedError(what: string, cause: LiminalError): LiminalError {
  if (cause.code === 'CLOSED') return new LiminalError('CLOSED', `${what} failed: the bus was closed.`)
  return new LiminalError('CLOSED', `${what} failed: the bus is closed. ${cause.message}`, { cause })
}
