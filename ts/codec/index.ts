/**
 * Bytes <-> frames (`liminal-bus/codec`).
 *
 * The functions here are those of {@link codec}, the codec chosen for this process: native where its addon loads, else TypeScript with one
 * warning. `LIMINAL_CODEC=native` or `=typescript` in the environment forces one; forcing a native codec that cannot load makes the import of this
 * module fail with `CODEC_UNAVAILABLE` and everything that was tried, any other value with `INVALID_ARGUMENT`.
 */
import type { NativeClaims } from './binding.ts'
import { type CodecInfo, chooseCodec } from './choice.ts'
import type { Codec, FrameDecoder as StreamFrameDecoder } from './codec.ts'

export { ProtocolError } from '../errors.ts'
export * from '../protocol/index.ts'
export { ColumnBatch } from './batch.ts'
export type { NativeClaims } from './binding.ts'
export type { CodecInfo } from './choice.ts'
export type {
  Codec,
  DecodedFrame,
  FrameBatch,
  FrameDecoderOptions,
  FrameRows,
  NameTable,
} from './codec.ts'
export { createNameTable } from './names.ts'
export { typescriptCodec } from './typescript.ts'

/** A decoder for a stream of chunks; see the class of the same name. */
export type FrameDecoder = StreamFrameDecoder

const choice = chooseCodec(process.env.LIMINAL_CODEC)

/** The chosen codec. */
export const codec: Codec = choice.codec

/** The codec over the addon; null where it cannot load, and where `LIMINAL_CODEC=typescript` says not to try. */
export const nativeCodec: Codec | null = choice.nativeCodec

/** The addon's index of idempotency keys, for ts/durability, where the chosen codec is native. */
export const nativeClaims: NativeClaims | null = choice.binding

/** Which codec runs, from which file, why, and what was tried to get there. */
export function codecInfo(): CodecInfo {
  return choice.info
}

/** The bytes of a frame. @throws ProtocolError `InvalidStream` (checked first) or `CodecError` for a value that has no valid encoding. */
export const encode = codec.encode
/** Bytes that {@link encode} gives. @throws ProtocolError as `encode` does. */
export const encodedLength = codec.encodedLength
/** Encodes into `target` at `offset` and returns the bytes written. @throws ProtocolError as `encode` does, and `CodecError` where the room is too small. */
export const encodeInto = codec.encodeInto
/** Reads one frame. Byte fields are views of the bytes given. @throws ProtocolError in the order of checks of docs/protocol.md. */
export const decode = codec.decode
/** The decoder for a stream of chunks that are cut anywhere. See `Codec.FrameDecoder`. */
export const FrameDecoder = codec.FrameDecoder
/** Bytes that {@link encodeDeliverRun} writes. @throws LiminalError `INVALID_ARGUMENT` for rows that have no envelope. */
export const deliverRunLength = codec.deliverRunLength
/** Writes the Deliver frames of a run of rows and returns the bytes written. @throws LiminalError `INVALID_ARGUMENT`, also if `target` is too small. */
export const encodeDeliverRun = codec.encodeDeliverRun
/** Writes PublishAck frames with consecutive ids and returns the bytes written. @throws LiminalError `INVALID_ARGUMENT`, also if `target` is too small. */
export const encodePublishAckRun = codec.encodePublishAckRun
/** The schema that a subscriber and a channel agree on. @throws ProtocolError `SchemaIncompatible`. */
export const negotiateSchema = codec.negotiateSchema
/** The highest supported version in [min, max]. @throws ProtocolError `VersionMismatch`. */
export const negotiateVersion = codec.negotiateVersion
/** The causal context of an encoded envelope. @throws ProtocolError `CodecError`. */
export const extractCausalContext = codec.extractCausalContext
/** The 32-byte id of a JSON Schema: SHA-256 of its RFC 8785 form. @throws LiminalError `SCHEMA_INVALID` if it is not JSON. */
export const schemaId = codec.schemaId
