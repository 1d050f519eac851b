import { connect as connectSocket } from 'node:net'
import { LiminalError } from '../errors.ts'
import { toLiminalError } from '../thrown.ts'
import { throwIfAborted, waitFor } from '../waiting.ts'
import { Connection } from './connection.ts'
import type { Settings } from './options.ts'
import { readBuffer } from './received-bytes.ts'
import type { ServerAddress } from './url.ts'

/**
 * Connects and shakes hands, within `settings.timeoutMs`.
 *
 * @throws LiminalError `AuthenticationFailure`, `VersionMismatch`, `ABORTED`; `CONNECTION_FAILED` for all else, with its cause.
 */
export async function dial(address: ServerAddress, settings: Settings, signal?: AbortSignal): Promise<Connection> {
  const what = `Connecting to ${address.url}`
  throwIfAborted(signal, what)
  let connection: Connection
  const onread = { buffer: readBuffer, callback: (length: number) => connection.receive(length) }
  const socket = connectSocket({ host: address.host, port: address.port, noDelay: true, onread })
  try {
    connection = new Connection(socket, address, settings)
  } catch (thrown) {
    // Nobody listens to its errors yet.
    socket.destroy()
    throw thrown
  }
  try {
    await waitFor(connection.ready, { timeoutMs: settings.timeoutMs, signal, what })
    return connection
  } catch (thrown) {
    const error = toLiminalError(thrown)
    connection.lose(error)
    throw failureOf(connection, error)
  }
}

/** Whether trying again cannot help. */
export function isFinal(error: LiminalError): boolean {
  return error.code === 'AuthenticationFailure' || error.code === 'VersionMismatch' || error.code === 'ABORTED'
}

function failureOf({ address, refused }: Connection, error: LiminalError): LiminalError {
  if (isFinal(error)) return error
  if (refused) {
    const message = `The server at ${address.url} refused the connection: ${error.message}`
    return new LiminalError('CONNECTION_FAILED', message, { cause: error })
  }
  const cause = error.code === 'CONNECTION_LOST' && error.cause instanceof Error ? error.cause : error
  return new LiminalError(
    'CONNECTION_FAILED',
    `No connection to ${address.url}: ${cause.message} Check the address, and that a liminal server listens there.`,
    { cause },
  )
}
