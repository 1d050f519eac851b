import { connect as connectSocket } from 'node:net'
import { LiminalError } from '../errors.ts'
import { throwIfAborted, waitFor } from '../waiting.ts'
import { Connection } from './connection.ts'
import type { Settings } from './options.ts'
import { toLiminalError } from './peer-error.ts'
import type { ServerAddress } from './url.ts'

/**
 * Connects and shakes hands, within `settings.timeoutMs`.
 *
 * @throws LiminalError `AuthenticationFailure`, `VersionMismatch`, `ABORTED`; `CONNECTION_FAILED` for all else, with its cause.
 */
export async function dial(address: ServerAddress, settings: Settings, signal?: AbortSignal): Promise<Connection> {
  const what = `Connecting to ${address.url}`
  throwIfAborted(signal, what)
  const socket = connectSocket({ host: address.host, port: address.port, noDelay: true })
  const connection = new Connection(socket, address, settings)
  try {
    await waitFor(connection.ready, { timeoutMs: settings.timeoutMs, signal, what })
    return connection
  } catch (thrown) {
    const error = toLiminalError(thrown)
    connection.lose(error)
    throw failureOf(address, error)
  }
}

/** Whether trying again cannot help. */
export function isFinal(error: LiminalError): boolean {
  return error.code === 'AuthenticationFailure' || error.code === 'VersionMismatch' || error.code === 'ABORTED'
}

function failureOf(address: ServerAddress, error: LiminalError): LiminalError {
  if (isFinal(error)) return error
  const cause = error.code === 'CONNECTION_LOST' && error.cause instanceof Error ? error.cause : error
  return new LiminalError(
    'CONNECTION_FAILED',
    `No connection to ${address.url}: ${cause.message} Check the address, and that a liminal server listens there.`,
    { cause },
  )
}
