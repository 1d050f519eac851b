/**
 * The extensions that ride on capability bits (docs/protocol.md has layout and fallback of each). A client asks for all it
 * understands by bit 0x80 of Connect.flags; the server grants in the upper half of ConnectAck.capabilities.
 */
export const Capability = {
  /** Publish flag 0x80: no PublishAck. */
  UNACKNOWLEDGED_PUBLISH: 0x0001_0000,
  /** Flag 0x40 on ConversationOpen, ConversationClose, Unsubscribe: the server echoes the frame once it is done. */
  CONFIRMATIONS: 0x0002_0000,
  /** ConversationOpen flag 0x80: a connection serves a subject; the server opens conversations towards it on even streams. */
  RESPONDERS: 0x0004_0000,
  /** Accept on a subscription's stream is cumulative and moves its window of `maxInFlight` deliveries. */
  CREDITS: 0x0008_0000,
  /** PublishAck flag 0x80 marks duplicates. */
  RECEIPTS: 0x0010_0000,
  /** Error frames use the reason codes from 0x8000 up instead of 0xFFFF. */
  REASONS: 0x0020_0000,
  /** Heads in front of payloads (flag 0x20), conversations that outlive their participant, workers with leases. */
  WORK: 0x0040_0000,
  /** ConversationMessage flag 0x40: a reply in parts, paced by Accept. */
  STREAMS: 0x0080_0000,
  /** Durable channels: where a subscription begins, named cursors, positions and attempts of deliveries, positions in PublishAck. */
  DURABLE: 0x0100_0000,
} as const

/** Everything that this version understands. */
export const ALL_CAPABILITIES = Object.values(Capability).reduce((all, bit) => all | bit, 0)

/** The half of ConnectAck.capabilities that carries this project's bits; the lower half belongs to the upstream project. */
export const EXTENSION_MASK = 0xffff_0000
