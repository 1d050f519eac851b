/**
 * `handshake` until Connect, then `open`; `draining` while only what is underway is finished; `ended` once everything is released and only the
 * last bytes are on their way.
 */
export type SessionPhase = 'handshake' | 'open' | 'draining' | 'ended'

/** One connection as its server's owner sees it, at the moment of asking. */
export interface SessionInfo {
  /** Counts the connections of a server from 1. */
  readonly id: number
  /** Pid of its process: `LocalBus.processes.exit(pid, exitKilled())` ends the connection. */
  readonly pid: number
  /** Address and port of the peer. */
  readonly remoteAddress: string
  readonly phase: SessionPhase
  /** The capability bits granted to the peer, 0 for one of 1.0. */
  readonly capabilities: number
  readonly subscriptions: number
  /** Conversations that the peer opened. */
  readonly conversations: number
  /** Subjects that the peer answers. */
  readonly responders: number
  /** Requests of the peer without a reply yet. */
  readonly pendingRequests: number
  /** Bytes on their way to the peer, those that wait for credit included. */
  readonly outboxBytes: number
}
