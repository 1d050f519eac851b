import { LiminalError } from '../errors.ts'
import { Capability } from '../protocol/index.ts'
import type { Connection } from './connection.ts'

/** @throws LiminalError `NOT_SUPPORTED` unless the server has granted the extension `WORK`. @param what the subject of the sentence. */
export function requireWork(connection: Connection, what: string): void {
  if (!connection.granted(Capability.WORK)) throw lacking(what, 'WORK')
}

/** @throws LiminalError `NOT_SUPPORTED` unless the server has granted the extension `STREAMS`. */
export function requireStreams(connection: Connection, what: string): void {
  if (!connection.granted(Capability.STREAMS)) throw lacking(what, 'STREAMS')
}

/** @throws LiminalError `NOT_SUPPORTED` unless the server has granted the extension `DURABLE`. */
export function requireDurable(connection: Connection, what: string): void {
  if (!connection.granted(Capability.DURABLE)) throw lacking(what, 'DURABLE')
}

function lacking(what: string, extension: string): LiminalError {
  return new LiminalError(
    'NOT_SUPPORTED',
    `${what} needs the extension ${extension}, which this server has not granted. Ask for it without, or of a newer server.`,
  )
}
