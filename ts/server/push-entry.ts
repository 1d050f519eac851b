import type { ExitReason } from '../process/index.ts'

/** A push that the peer has not answered. */
export interface PushEntry {
  /**
   * The peer says something about it. Returns whether that settles it.
   * @param payload good for this call, its head included. @param flags of the frame; 0 from a peer whose flags mean nothing.
   */
  answered(payload: Uint8Array, flags: number): boolean
  /** The connection is over. */
  gone(reason: ExitReason): void
}
