import type { CausalContext, Frame, Version } from '../protocol/index.ts'

/** A decoded frame and the bytes it took. */
export interface DecodedFrame {
  readonly frame: Frame
  /** Bytes consumed: 10 + the declared payload length. */
  readonly length: number
}

/** Rows of columns over the bytes they index: what a scan makes and what the run encoders take. */
export interface FrameRows {
  /** The scanned bytes. All offsets in the columns count from its start. */
  readonly bytes: Uint8Array
  /** Head and rows, see `protocol/columns.ts`. */
  readonly columns: Int32Array
  /** Rows present. */
  readonly count: number
}

/** One batch of scanned frames. Valid until the decoder is used again: the columns are reused, the bytes are not copied. */
export interface FrameBatch extends FrameRows {
  /**
   * The frame of a row as an object, made on demand. Its byte fields are views of `bytes`.
   * @throws LiminalError `INVALID_ARGUMENT` for a row outside the batch, as all functions of a row do.
   */
  frame(row: number): Frame
  /** The u64 id of a row (column ID). @throws LiminalError `INVALID_ARGUMENT` for a row without one. */
  id(row: number): bigint
  /** {@link id} as a number up to 2^53 and as a bigint beyond, which makes it cheap to look something up by. */
  key(row: number): number | bigint
  /** The payload of a row that has one, a view of `bytes`. @throws LiminalError `INVALID_ARGUMENT` for a row without one. */
  payload(row: number): Uint8Array
  /** The causal context of a row with an envelope. @throws LiminalError `INVALID_ARGUMENT` for a row without one. */
  causal(row: number): CausalContext
  /** The channel name of a Publish or Subscribe row. @throws LiminalError `INVALID_ARGUMENT` for other rows. */
  channel(row: number): string
}

export interface FrameDecoderOptions {
  /** Largest frame taken, header included, in bytes. Default 16 MiB. A larger one fails with `FrameTooLarge` from its header alone. */
  maxFrameBytes?: number
  /** Rows of a batch, at least 1. Default 512. */
  rows?: number
  /** Channel names that columns refer to by number. Default: an empty table of the decoder's own. May be shared by many decoders. */
  names?: NameTable
}

/**
 * Frames from a stream of chunks, cut anywhere.
 *
 * ```ts
 * decoder.push(chunk)
 * while (decoder.next()) for (let row = 0; row < decoder.batch.count; row++) handle(decoder.batch.frame(row))
 * ```
 */
export interface FrameDecoder {
  readonly batch: FrameBatch
  /** Bytes of an unfinished frame held back. */
  readonly pendingBytes: number
  /**
   * Hands over the next chunk. The decoder reads it in place: do not write to it before `next` returned false. Views handed out of it, such as
   * payloads, live as long as the chunk does.
   * @throws LiminalError `INVALID_ARGUMENT` if `next` has not returned false since the last chunk: nothing is queued.
   */
  push(chunk: Uint8Array): void
  /**
   * Scans the next batch; false when all complete frames were returned.
   * @throws ProtocolError once the frame next in line is malformed or too large; the frames before it were returned. The decoder is dead then.
   */
  next(): boolean
  /** The frames of a chunk as objects: `push` and `next` in one. Whoever leaves it early goes on with `next`. */
  frames(chunk: Uint8Array): Generator<Frame, void, undefined>
  /**
   * Checks that the stream may end here.
   * @throws ProtocolError `IncompleteHeader` or `TruncatedPayload` if it ends inside a frame.
   * @throws LiminalError `INVALID_ARGUMENT` if frames are unread.
   */
  end(): void
}

/** Channel names as small integers, in memory that both codecs read. Names are added by whoever owns the table, never by a peer. */
export interface NameTable {
  /**
   * Adds a name, or finds it, and returns its id: 0, 1, 2 ... in the order of adding. Ids are never reused.
   * @throws LiminalError `INVALID_ARGUMENT` for a name that has no UTF-8 form.
   */
  add(name: string): number
  /** The id of UTF-8 bytes, or -1. */
  find(bytes: Uint8Array, start: number, length: number): number
  /** The name of an id. @throws LiminalError `INVALID_ARGUMENT` for an id never given. */
  name(id: number): string
  readonly size: number
  /** The table's memory, lent to the codec for one call. Replaced when the table grows. */
  readonly memory: Uint8Array
}

/**
 * The wire, in both directions. `nativeCodec` and `typescriptCodec` behave alike: same bytes, same frames, same errors.
 *
 * The functions need no receiver: `const { encode } = codec` is fine. The native codec calls its addon for scans, runs and schema ids; for all that
 * takes a single frame it runs the same TypeScript as the other codec, which measures faster there.
 */
export interface Codec {
  readonly name: 'native' | 'typescript'

  /** @throws ProtocolError `InvalidStream` (checked first) or `CodecError` for a value that has no valid encoding. */
  encode(frame: Frame): Uint8Array
  /** Bytes that `encode` gives. */
  encodedLength(frame: Frame): number
  /** Writes at `offset` and returns the bytes written. @throws ProtocolError `CodecError` without writing if `target` is too small. */
  encodeInto(frame: Frame, target: Uint8Array, offset: number): number
  /**
   * Reads one frame. Byte fields are views of `bytes`.
   * @throws ProtocolError in the order of spec wire §6.
   */
  decode(bytes: Uint8Array, offset?: number): DecodedFrame
  readonly FrameDecoder: new (options?: FrameDecoderOptions) => FrameDecoder

  /**
   * Bytes that the Deliver frames of rows need. Rows may be of any frame type that has an envelope.
   * @throws LiminalError `INVALID_ARGUMENT` for a row without one.
   */
  deliverRunLength(rows: FrameRows, first: number, count: number): number
  /**
   * Writes a Deliver frame (flags 0) for each of `count` rows: sequence `firstSequence`, `firstSequence + 1n` ..., the row's envelope with its
   * schema id replaced by `schemaId`. Returns the bytes written.
   * @throws LiminalError `INVALID_ARGUMENT` if `target` is too small or overlaps the rows, and for values that do not fit their fields.
   */
  encodeDeliverRun(
    rows: FrameRows,
    first: number,
    count: number,
    streamId: number,
    firstSequence: bigint,
    schemaId: Uint8Array,
    target: Uint8Array,
    offset: number,
  ): number
  /**
   * Writes the Deliver frame of one row up to its payload, which ends the frame: for a payload that is sent from where it lies. Returns the bytes written,
   * which are the row's share of {@link deliverRunLength} less its payload.
   * @throws LiminalError as {@link encodeDeliverRun}.
   */
  encodeDeliverHead(
    rows: FrameRows,
    row: number,
    streamId: number,
    sequence: bigint,
    schemaId: Uint8Array,
    target: Uint8Array,
    offset: number,
  ): number
  /**
   * Writes `count` PublishAck frames (18 bytes each) with consecutive message ids. Returns the bytes written.
   * @throws LiminalError `INVALID_ARGUMENT` if `target` is too small, and for values that do not fit their fields.
   */
  encodePublishAckRun(
    streamId: number,
    flags: number,
    firstMessageId: bigint,
    count: number,
    target: Uint8Array,
    offset: number,
  ): number

  /** The schema a subscriber and a channel agree on: `channelSchema`. @throws ProtocolError `SchemaIncompatible` (spec wire §7). */
  negotiateSchema(channelSchema: Uint8Array, accepted: readonly Uint8Array[]): Uint8Array
  /** The highest supported version in [min, max], both included. @throws ProtocolError `VersionMismatch` (spec wire §7). */
  negotiateVersion(min: Version, max: Version, supported: readonly Version[]): Version
  /** The causal context of an encoded envelope, without touching the rest. @throws ProtocolError `CodecError`. */
  extractCausalContext(envelopeBytes: Uint8Array): CausalContext
  /**
   * SHA-256 of the RFC 8785 canonical form of a JSON Schema, which is the value that JSON.stringify makes of it.
   * @throws LiminalError `SCHEMA_INVALID` if it is not JSON: functions, symbols, bigint, NaN, infinities, `undefined` anywhere but as a member of
   * an object (which is left out), texts with lone surrogates, cycles, nesting over 256.
   */
  schemaId(jsonSchema: unknown): Uint8Array
}
