import type { CausalContext, Envelope } from '../../protocol/index.ts'
import { measureBlock, measureOptionalText, measureSchemaId, measureU64 } from '../measure.ts'
import type { Reader } from '../reader.ts'
import type { Writer } from '../writer.ts'

/**
 * An envelope is schema id, u32-length causal block and u32-length payload; inside a frame it stands behind a u32 length of its own (spec wire §3).
 * Each of these blocks must be consumed exactly by its fields.
 */

/** Bytes of the causal block, without its length. */
function causalLength(type: string, causal: CausalContext): number {
  const { parentId, vectorClockEntry } = causal
  const clock =
    vectorClockEntry === null ? 1 : 1 + measureU64(type, 'envelope.causal.vectorClockEntry', vectorClockEntry)
  return clock + measureOptionalText(type, 'envelope.causal.parentId', parentId)
}

/** Bytes of an envelope field, its own length included. */
export function measureEnvelope(type: string, envelope: Envelope): number {
  const schema = measureSchemaId(type, 'envelope.schemaId', envelope.schemaId)
  const payload = measureBlock(type, 'envelope.payload', envelope.payload)
  return 8 + schema + payload + causalLength(type, envelope.causal)
}

/** Writes an envelope field. The lengths are filled in behind the content, which saves counting the text again. */
export function writeEnvelope(writer: Writer, envelope: Envelope): void {
  const lengthAt = writer.position
  writer.position += 4
  writer.raw(envelope.schemaId)
  const causalAt = writer.position
  writer.position += 4
  const { parentId, vectorClockEntry } = envelope.causal
  writer.optionalText(parentId)
  if (vectorClockEntry === null) {
    writer.u8(0)
  } else {
    writer.u8(1)
    writer.u64(vectorClockEntry)
  }
  fillLength(writer, causalAt)
  writer.block(envelope.payload)
  fillLength(writer, lengthAt)
}

/** Reads an envelope field. */
export function readEnvelope(reader: Reader): Envelope {
  const outer = reader.enter('envelope')
  const schemaId = reader.schemaId('envelope.schemaId')
  const causal = readCausal(reader)
  const payload = reader.block('envelope.payload')
  reader.leave('envelope', outer)
  return { schemaId, causal, payload }
}

/** Reads the causal block with its length. */
export function readCausal(reader: Reader): CausalContext {
  const outer = reader.enter('envelope.causal')
  const parentId = reader.optionalText('envelope.causal.parentId')
  const vectorClockEntry = reader.present('envelope.causal.vectorClockEntry')
    ? reader.u64('envelope.causal.vectorClockEntry')
    : null
  reader.leave('envelope.causal', outer)
  return { parentId, vectorClockEntry }
}

function fillLength(writer: Writer, at: number): void {
  const end = writer.position
  writer.position = at
  writer.u32(end - at - 4)
  writer.position = end
}
