import type { Codec, NameTable } from './codec.ts'
import { StreamDecoder } from './decoder.ts'
import { extractCausalContext, negotiateSchema, negotiateVersion } from './negotiate.ts'
import { deliverRunLength, encodeDeliverHead, encodeDeliverRun, encodePublishAckRun } from './run.ts'
import { scanFrames } from './scan.ts'
import { schemaId } from './schema-id.ts'
import { decode, encode, encodedLength, encodeInto } from './single.ts'

class TypeScriptFrameDecoder extends StreamDecoder {
  protected override scan(
    bytes: Uint8Array,
    start: number,
    end: number,
    columns: Int32Array,
    names: NameTable,
    maxFrameBytes: number,
  ): number {
    return scanFrames(bytes, start, end, columns, names, maxFrameBytes)
  }
}

/** The codec without an addon: what runs where no binary fits, and what the native codec is measured against. */
export const typescriptCodec: Codec = {
  name: 'typescript',
  encode,
  encodedLength,
  encodeInto,
  decode,
  FrameDecoder: TypeScriptFrameDecoder,
  deliverRunLength,
  encodeDeliverRun,
  encodeDeliverHead,
  encodePublishAckRun,
  negotiateSchema,
  negotiateVersion,
  extractCausalContext,
  schemaId,
}
