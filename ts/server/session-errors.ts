import { LiminalError, ProtocolError } from '../errors.ts'
import { exitNoConnection } from '../process/index.ts'
import { ReasonCode } from '../protocol/index.ts'

/** One for all: thousands may end so, and are remembered for a while. */
export const ENDED = exitNoConnection(
  new LiminalError('CONNECTION_LOST', 'The peer ended the connection without a Disconnect.'),
)

/** Bytes of an unfinished frame, and of replies, kept for a peer that has not connected: enough for any token, too little to fill the memory with. */
export const MOST_HANDSHAKE_BYTES = 64 * 1024

/** What a session ends with. */
export function silence(silentMs: number): LiminalError {
  return new LiminalError(
    'TIMEOUT',
    `Nothing came from the peer for ${Math.round(silentMs)} ms, not even an answer to Ping.`,
  )
}

export function handshakeTimeout(afterMs: number): LiminalError {
  return new LiminalError('TIMEOUT', `The connection was not connected within ${afterMs} ms; send Connect first.`)
}

export function unreadHandshake(): LiminalError {
  const text = `${MOST_HANDSHAKE_BYTES} bytes of Pong wait for a peer that has not connected; send Connect first.`
  return new LiminalError('OUTBOX_FULL', text)
}

export function frameTooLarge(bytes: number): ProtocolError {
  const text = `${bytes} bytes came without a Connect; a frame before it has ${MOST_HANDSHAKE_BYTES} at most.`
  return new ProtocolError('FrameTooLarge', ReasonCode.Codec, text)
}
