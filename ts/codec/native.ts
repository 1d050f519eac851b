import { LiminalError } from '../errors.ts'
import type { NativeBinding } from './binding.ts'
import type { Codec, FrameRows, NameTable } from './codec.ts'
import { StreamDecoder } from './decoder.ts'
import { highHalf, lowHalf } from './integers.ts'
import { checkDeliverRun, checkPublishAckRun, encodeDeliverRun, encodePublishAckRun } from './run.ts'
import { scanFrames } from './scan.ts'
import { loneSurrogate, MAX_SCHEMA_DEPTH, schemaInvalid, schemaText } from './schema-id.ts'
import { typescriptCodec } from './typescript.ts'

/** Sizes below which a call into the addon costs more than it saves, so that the TypeScript twin answers. */
export interface Cutoffs {
  /** Bytes to scan. */
  readonly scanBytes: number
  /** Rows of a Deliver run. */
  readonly deliverRows: number
  /** Frames of a PublishAck run. */
  readonly acknowledgements: number
}

/**
 * Measured by bench/codec/cutoffs.ts, Node 20, x64:
 *
 * - a scan pays off from 5 Publish, 8 Deliver or 12 PublishAck frames on, whatever their size: 5 Publish take 245 ns native, 250 ns in TypeScript. Bytes are
 *   what is known beforehand; with 400 of them as the limit no chunk takes over 90 ns longer than with the other scan (docs/decisions/codec-choice.md);
 * - one Deliver takes 258 ns native, 271 ns in TypeScript, but native pays for checking the arguments again; two take 268 and 428 ns;
 * - 12 acks take 158 ns native, 149 ns in TypeScript; 16 take 161 and 185 ns.
 */
const CUTOFFS: Cutoffs = { scanBytes: 400, deliverRows: 2, acknowledgements: 16 }

/**
 * The codec over a loaded addon. The addon does what is many frames or many bytes per call: scans, runs and schema ids.
 *
 * The functions for a single frame are those of the TypeScript codec, which is the faster path: for a Publish of 128 bytes, `decode` takes 174 ns
 * and `encode` 310 ns, while a call into the addon that only transcodes the frame takes 189 ns, and the objects of a frame cost it 1,000 ns more
 * (Node 20, x64). The same goes for negotiation and `extractCausalContext`.
 */
export function createNativeCodec(binding: NativeBinding, cutoffs: Cutoffs = CUTOFFS): Codec {
  class NativeFrameDecoder extends StreamDecoder {
    protected override scan(
      bytes: Uint8Array,
      start: number,
      end: number,
      columns: Int32Array,
      names: NameTable,
      maxFrameBytes: number,
    ): number {
      if (end - start < cutoffs.scanBytes || isShared(bytes)) {
        return scanFrames(bytes, start, end, columns, names, maxFrameBytes)
      }
      const count = binding.scanFrames(bytes, start, end, columns, names.memory, maxFrameBytes)
      if (count < 0) throw broken('scanFrames')
      return count
    }
  }

  return {
    ...typescriptCodec,
    name: 'native',
    FrameDecoder: NativeFrameDecoder,

    encodeDeliverRun(
      rows: FrameRows,
      first: number,
      count: number,
      streamId: number,
      firstSequence: bigint,
      schemaId: Uint8Array,
      target: Uint8Array,
      offset: number,
    ): number {
      if (count < cutoffs.deliverRows || isShared(rows.bytes) || isShared(target) || isShared(schemaId)) {
        return encodeDeliverRun(rows, first, count, streamId, firstSequence, schemaId, target, offset)
      }
      checkDeliverRun(rows, first, count, streamId, firstSequence, schemaId, target, offset)
      const high = highHalf(firstSequence)
      const low = lowHalf(firstSequence)
      const { bytes, columns } = rows
      const written = binding.encodeDeliverRun(
        bytes,
        columns,
        first,
        count,
        streamId,
        high,
        low,
        schemaId,
        target,
        offset,
      )
      if (written < 0) throw broken('encodeDeliverRun')
      return written
    },

    encodePublishAckRun(
      streamId: number,
      flags: number,
      firstMessageId: bigint,
      count: number,
      target: Uint8Array,
      offset: number,
    ): number {
      if (count < cutoffs.acknowledgements || isShared(target)) {
        return encodePublishAckRun(streamId, flags, firstMessageId, count, target, offset)
      }
      checkPublishAckRun(streamId, flags, firstMessageId, count, target, offset)
      const high = highHalf(firstMessageId)
      const low = lowHalf(firstMessageId)
      const written = binding.encodePublishAckRun(streamId, flags, high, low, count, target, offset)
      if (written < 0) throw broken('encodePublishAckRun')
      return written
    },

    schemaId(jsonSchema: unknown): Uint8Array {
      const id = new Uint8Array(32)
      const code = binding.schemaId(schemaText(jsonSchema), id)
      if (code === 0) return id
      if (code === -2) throw schemaInvalid(`it is nested more than ${MAX_SCHEMA_DEPTH} levels deep, or contains itself`)
      if (code === -3) throw loneSurrogate()
      throw broken('schemaId')
    },
  }
}

/** The addon borrows memory that stands still; memory that other threads may write to stays with TypeScript. */
function isShared(bytes: Uint8Array): boolean {
  return bytes.buffer instanceof SharedArrayBuffer
}

function broken(name: string): LiminalError {
  return new LiminalError(
    'INTERNAL',
    `The native ${name} refused checked arguments; report this, and set LIMINAL_CODEC=typescript`,
  )
}
