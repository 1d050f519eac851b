import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { onTestFinished } from 'vitest'
import type { BusOptions } from '../../ts/bus/index.ts'
import { type BusServer, createServer, type ServerOptions } from '../../ts/server/index.ts'
import { type Addressed, RawPeer } from './raw-peer.ts'

/** A server with a bus of its own on a free port, gone when the test is over. */
export async function startServer(options: BusOptions & ServerOptions = {}): Promise<BusServer> {
  const server = await createServer({ port: 0, ...options })
  onTestFinished(() => server.close({ graceMs: 0 }))
  return server
}

/** A peer of 1.0, gone when the test is over. */
export async function plainPeer(server: Addressed): Promise<RawPeer> {
  return finishing(await RawPeer.connect(server))
}

/** A peer that was granted all extensions. */
export async function extendedPeer(server: Addressed): Promise<RawPeer> {
  return finishing(await RawPeer.connect(server, { extensions: true }))
}

/** A TCP connection that has sent nothing yet. */
export async function strangePeer(server: Addressed): Promise<RawPeer> {
  return finishing(await RawPeer.open(server))
}

function finishing(peer: RawPeer): RawPeer {
  onTestFinished(() => peer.destroy())
  return peer
}

/** Resolves with the next event of a diagnostics channel for which `matches` holds. */
export function diagnosed<Event>(name: string, matches: (event: Event) => boolean = () => true): Promise<Event> {
  return new Promise((resolve) => {
    const listener = (message: unknown): void => {
      const event = message as Event
      if (!matches(event)) return
      unsubscribe(name, listener)
      resolve(event)
    }
    subscribe(name, listener)
    onTestFinished(() => {
      unsubscribe(name, listener)
    })
  })
}

/** A promise and its settling functions. */
export function deferred<T = void>(): {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (error: unknown) => void
} {
  let resolve: (value: T) => void = () => undefined
  let reject: (error: unknown) => void = () => undefined
  const promise = new Promise<T>((settle, fail) => {
    resolve = settle
    reject = fail
  })
  return { promise, resolve, reject }
}
