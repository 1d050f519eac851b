/**
 * The columns that a scan writes for each frame of a chunk (design §6). One row is {@link ROW_WIDTH} int32 in a flat
 * `Int32Array`, after a head of {@link HEAD_WIDTH} int32 that carries the outcome of the scan. Both codecs write exactly the same
 * numbers; a column that does not apply to a frame's type is 0, unless said otherwise below.
 */

/** Int32s before the first row. */
export const HEAD_WIDTH = 4
/** Int32s of a row. */
export const ROW_WIDTH = 13

/** Positions in the head. */
export const Head = {
  /** Rows written. */
  COUNT: 0,
  /** Offset in the chunk of the first byte that belongs to no row. */
  CONSUMED: 1,
  /** Why the scan stopped: one of {@link ScanStatus}. */
  STATUS: 2,
  /** PARTIAL: bytes that the started frame has in total, or 0 if its header is incomplete. MALFORMED: the reason code. Otherwise 0. */
  DETAIL: 3,
} as const

/** Why a scan stopped. */
export const ScanStatus = {
  /** The chunk ended exactly behind a frame. */
  COMPLETE: 0,
  /** The chunk ends inside a frame. */
  PARTIAL: 1,
  /** The columns have no room for another row. */
  FULL: 2,
  /** The frame at CONSUMED breaks the protocol; it has no row. Decoding it alone gives the typed error. */
  MALFORMED: 3,
  /** The frame at CONSUMED declares more bytes than allowed; decided from the header alone. */
  TOO_LARGE: 4,
} as const

/** Positions in a row. Offsets count from the start of the scanned bytes. */
export const Column = {
  /** Offset of the header. */
  START: 0,
  /** Bytes of the whole frame. */
  LENGTH: 1,
  /** Type byte. */
  TYPE: 2,
  /** Flags byte. */
  FLAGS: 3,
  /** Stream id, the u32's bits as an int32: use `>>> 0`. */
  STREAM: 4,
  /** Publish and Subscribe: the channel's id in the name table, or -1 if its name is not in it. Other types: -1. */
  CHANNEL: 5,
  /** Publish, ConversationMessage, Deliver: offset of the envelope, which starts with the schema id. */
  ENVELOPE: 6,
  /** Publish, ConversationMessage, Deliver, Push, PushReply: offset of the payload bytes. */
  PAYLOAD: 7,
  /** Bytes of the payload. */
  PAYLOAD_LENGTH: 8,
  /** Publish with a key: offset of the key's bytes. */
  KEY: 9,
  /** Bytes of the key; -1 where there is none. */
  KEY_LENGTH: 10,
  /**
   * Publish: at the first row of a run, how many rows it has; 0 at its other rows. A run is a maximal sequence of consecutive Publish
   * rows with the same channel bytes, flags and stream. Deliver, PublishAck: the same, for equal stream and flags (the ids need not be
   * consecutive). Other types: 1.
   */
  RUN: 11,
  /**
   * Offset of the frame's u64 id: subscriptionId (SubscribeAck, Unsubscribe), messageId (PublishAck), conversationId (Conversation*),
   * correlationId (Push, PushReply), deliverySeq (Deliver).
   */
  ID: 12,
} as const
