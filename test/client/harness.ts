import { afterEach, expect } from 'vitest'
import { ClientCore } from '../../ts/client/client-core.ts'
import { dial } from '../../ts/client/dial.ts'
import type { ClientOptions, ConnectionStatus, RemoteBus } from '../../ts/client/index.ts'
import { resolveOptions } from '../../ts/client/options.ts'
import { ConnectedBus } from '../../ts/client/remote-bus.ts'
import { parseUrl } from '../../ts/client/url.ts'
import { type ErrorCode, LiminalError } from '../../ts/errors.ts'
import { type ScriptedPeer, ScriptedServer } from './scripted-server.ts'

const opened: { close(): Promise<void> }[] = []

// All at once: a client that closes gives the server time for its last answers, and a scripted server has none.
afterEach(async () => {
  const closing = opened
    .splice(0)
    .reverse()
    .map((resource) => resource.close())
  await Promise.all(closing)
})

/** Closes it after the test; the last one opened is the first one told. */
export function keep<Resource extends { close(): Promise<void> }>(resource: Resource): Resource {
  opened.push(resource)
  return resource
}

/** A client and the server's end of its connection. */
export interface Pair {
  readonly server: ScriptedServer
  readonly bus: RemoteBus
  /** What the bus is made of, to look at its tables. */
  readonly core: ClientCore
  /** The first connection. */
  readonly peer: ScriptedPeer
}

/** Connects as `connect` does, but keeps the core at hand. */
export async function connectCore(url: string, options: ClientOptions): Promise<{ bus: RemoteBus; core: ClientCore }> {
  const settings = resolveOptions(options)
  const core = new ClientCore(settings)
  core.adopt(await dial(parseUrl(url), settings, options.signal))
  return { bus: keep(new ConnectedBus(core)), core }
}

/** A client that reconnects within a millisecond, on a scripted server. */
export async function pair(options: ClientOptions = {}, capabilities?: number): Promise<Pair> {
  const server = keep(await ScriptedServer.listen())
  const connecting = connectCore(server.url, { reconnect: { baseMs: 1, maxMs: 1 }, ...options })
  const peer = await server.connection()
  await peer.accept(capabilities)
  const { bus, core } = await connecting
  return { server, bus, core, peer }
}

/** Expects a call to fail with a LiminalError of a code, whether it throws or rejects, and returns that error. */
export async function failure(call: (() => unknown) | Promise<unknown>, code: ErrorCode): Promise<LiminalError> {
  let error: unknown
  try {
    await (typeof call === 'function' ? call() : call)
  } catch (thrown) {
    error = thrown
  }
  expect(error, `expected ${code}, but nothing failed`).toBeDefined()
  if (!(error instanceof LiminalError)) throw error
  expect(error.code, error.message).toBe(code)
  return error
}

/** Reads the status of a bus up to the first event of this type. */
export async function until(bus: RemoteBus, type: ConnectionStatus['type']): Promise<ConnectionStatus> {
  for await (const status of bus.status()) if (status.type === type) return status
  throw new Error(`The bus never came to be ${type}.`)
}

/** Resolves after the frames that were sent to the client before have been dealt with. */
export async function settled(peer: ScriptedPeer): Promise<void> {
  const rest = await peer.rest()
  expect(rest).toEqual([])
}

/** Streams open on the present connection. */
export function streams(core: ClientCore): number {
  return core.connection?.streams.size ?? 0
}
