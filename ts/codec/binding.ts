/**
 * The native addon's functions: the mirror of `native/node/src/lib.rs`, name for name. Nobody but the native codec imports it, and the index of claims its part of it.
 *
 * All memory belongs to JavaScript and is borrowed for the one call. Nothing throws for bad input: return codes only. Offsets and
 * lengths are u32 numbers; a u64 comes as two u32 halves.
 */
export interface NativeBinding extends NativeClaims {
  /**
   * Scans frames in `bytes[start, end)` into `columns` (layout: protocol/columns.ts; offsets count from the start of `bytes`), looking channel
   * names up in `names` (layout: codec/names.ts). Returns the number of rows.
   */
  scanFrames(
    bytes: Uint8Array,
    start: number,
    end: number,
    columns: Int32Array,
    names: Uint8Array,
    maxFrameBytes: number,
  ): number
  /** See Codec.encodeDeliverRun. Returns the bytes written, or -1 if `target` is too small (nothing useful was written then). */
  encodeDeliverRun(
    bytes: Uint8Array,
    columns: Int32Array,
    first: number,
    count: number,
    streamId: number,
    sequenceHigh: number,
    sequenceLow: number,
    schemaId: Uint8Array,
    target: Uint8Array,
    offset: number,
  ): number
  /** See Codec.encodePublishAckRun. Returns the bytes written, or -1 if `target` is too small. */
  encodePublishAckRun(
    streamId: number,
    flags: number,
    messageIdHigh: number,
    messageIdLow: number,
    count: number,
    target: Uint8Array,
    offset: number,
  ): number
  /** Writes the 32-byte schema id of JSON text to `target`. Returns 0, or a negative code: -1 not JSON, -2 nested too deep, -3 lone surrogate. */
  schemaId(json: string, target: Uint8Array): number
  /** `accepted` is a concatenation of 32-byte ids. Returns 0 if compatible, else the reason code. */
  negotiateSchema(channelSchema: Uint8Array, accepted: Uint8Array): number
  /** `supported` is a u16 pair per version, big-endian: major, minor. Returns major << 16 | minor, or -1. */
  negotiateVersion(
    minMajor: number,
    minMinor: number,
    maxMajor: number,
    maxMinor: number,
    supported: Uint8Array,
  ): number
  /**
   * Decodes the frame at the start of `bytes` with the native single-frame decoder and encodes it again into `target`. Returns the bytes
   * written, or minus the reason code. The differential tests drive it; the single-frame calls of the native codec use the faster path.
   */
  transcodeFrame(bytes: Uint8Array, target: Uint8Array): number
}

/**
 * The addon's index of idempotency keys: the mirror of `native/node/src/claims.rs`. What the calls do is said in durability/claim-index.ts, the layout of `words` in
 * durability/claim-rows.ts. Indexes live in the addon until they are closed; JavaScript knows them by a number of this thread. -1 says that the arguments were refused.
 */
export interface NativeClaims {
  openClaims(secret: Uint8Array, ttlMs: number, maxKeys: number): number
  closeClaims(index: number): number
  claimKeys(
    index: number,
    scope: Uint8Array,
    bytes: Uint8Array,
    columns: Int32Array,
    first: number,
    count: number,
    owner: number,
    nowMs: number,
    words: Uint32Array,
  ): number
  completeClaims(
    index: number,
    words: Uint32Array,
    first: number,
    count: number,
    owner: number,
    valueHigh: number,
    valueLow: number,
    deliveredTo: number,
    nowMs: number,
  ): number
  releaseClaims(index: number, words: Uint32Array, first: number, count: number, owner: number): number
  lookAtClaims(index: number, words: Uint32Array, first: number, count: number, nowMs: number): number
  restoreClaims(
    index: number,
    hashes: Uint8Array,
    count: number,
    valueHigh: number,
    valueLow: number,
    deliveredTo: number,
    storedAtMs: number,
    nowMs: number,
  ): number
  sweepClaims(index: number, nowMs: number, budget: number): number
  countClaims(index: number): number
  claimBytes(index: number): number
}
