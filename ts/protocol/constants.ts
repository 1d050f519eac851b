import type { CausalContext } from './frames.ts'

/** Bytes of the header that starts every frame: type, flags, stream id, payload length (spec wire §2). */
export const HEADER_BYTES = 10

/** Bytes of a schema id. */
export const SCHEMA_ID_BYTES = 32

/** The largest frame a decoder takes unless told otherwise, header included: 16 MiB. */
export const DEFAULT_MAX_FRAME_BYTES = 16 * 1024 * 1024

/** Bytes of a Deliver before its envelope: header, delivery sequence, length of the envelope (docs/protocol.md, Deliver). */
export const DELIVER_HEAD_BYTES = HEADER_BYTES + 8 + 4

/** Bytes of a PublishAck: header, message id (spec wire §4). */
export const PUBLISH_ACK_BYTES = HEADER_BYTES + 8

/** The TCP port of a server unless told otherwise. */
export const DEFAULT_PORT = 7777

/** The schema id of what has no schema: 32 zero bytes. Shared by all: read it, copy it, never write to it or hand it out. */
export const NO_SCHEMA: Uint8Array = new Uint8Array(SCHEMA_ID_BYTES)

/** The causal context of a message that says nothing about its cause. */
export const NO_CAUSE: CausalContext = Object.freeze({ parentId: null, vectorClockEntry: null })
