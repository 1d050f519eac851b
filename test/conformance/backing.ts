import type { Bus, Responder, Worker } from '../../ts/bus/index.ts'
import type { ChannelDeclaration } from '../../ts/channel/index.ts'
import type { EventStore } from '../../ts/durability/index.ts'

/** What the tests of the suite ask of the bus, or the server, that they run against. */
export interface BackingOptions {
  /** Channels declared from the start. Default: none. */
  channels?: ChannelDeclaration[]
  /** Whether other channels are created on first use. Default `true`. */
  createChannels?: boolean
  /** Default `false`. */
  echoFallback?: boolean
  /** Largest envelope that is published, in bytes. Default: what fits a frame of 16 MiB. */
  maxMessageBytes?: number
  /**
   * Every queue between a publisher and a subscriber that does not take its deliveries is small (at most about 256 KiB), and publishers wait for it
   * only briefly: so that a slow subscriber is shed soon. Default `false`.
   */
  smallQueues?: boolean
  /** Where durable channels are stored. Default: nowhere. */
  store?: EventStore
  /** Milliseconds of the lease of a worker's message. Default 30,000. */
  leaseMs?: number
}

/** One bus or server, and the ways to it. */
export interface Backing {
  /** A bus on it. In one process this may be the same one every time; otherwise each call connects anew. */
  bus(): Promise<Bus>
  /** Lets whoever answers there die, as a process that is killed does. */
  crash(bus: Bus, responder: Responder | Worker): void
  /** Resolves once everything that was sent before has arrived on both sides. */
  settled(): Promise<void>
  /** Conversations that the bus has open. */
  conversations(): number
  /** Closes everything. Called after each test, and by tests that go on with another one on the same store. */
  close(): Promise<void>
}

/** Makes a backing for one test. */
export type BackingFactory = (options: BackingOptions) => Promise<Backing>
