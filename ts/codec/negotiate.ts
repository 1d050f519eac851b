import { LiminalError, ProtocolError } from '../errors.ts'
import type { CausalContext, Version } from '../protocol/index.ts'
import { ReasonCode, SCHEMA_ID_BYTES } from '../protocol/index.ts'
import { readCausal } from './frame/envelope.ts'
import { Reader } from './reader.ts'

/** Negotiation (spec wire §7) and the causal context of an envelope. A call into the native addon costs more than the work, so both codecs share these. */

/** See Codec.negotiateSchema. */
export function negotiateSchema(channelSchema: Uint8Array, accepted: readonly Uint8Array[]): Uint8Array {
  checkSchemaId('channelSchema', channelSchema)
  for (const schema of accepted) checkSchemaId('accepted', schema)
  if (accepted.length === 0 || accepted.some((schema) => isSame(schema, channelSchema))) return channelSchema
  throw new ProtocolError(
    'SchemaIncompatible',
    ReasonCode.SchemaIncompatible,
    `The channel's schema ${hex(channelSchema)} is not among the ${accepted.length} that the subscriber accepts`,
  )
}

/** See Codec.negotiateVersion. */
export function negotiateVersion(min: Version, max: Version, supported: readonly Version[]): Version {
  const low = versionNumber(min)
  const high = versionNumber(max)
  let best: Version | null = null
  for (const version of supported) {
    const number = versionNumber(version)
    if (number < low || number > high) continue
    if (best === null || number > versionNumber(best)) best = version
  }
  if (best !== null) return { major: best.major, minor: best.minor }
  const offered = supported.length === 0 ? 'none' : supported.map(versionText).join(', ')
  throw new ProtocolError(
    'VersionMismatch',
    ReasonCode.VersionMismatch,
    `No supported version lies in ${versionText(min)} to ${versionText(max)}; supported: ${offered}`,
  )
}

/** See Codec.extractCausalContext. Bytes behind the causal block are not looked at. */
export function extractCausalContext(envelopeBytes: Uint8Array): CausalContext {
  const reader = new Reader(envelopeBytes, 0, 0, envelopeBytes.length, 'Envelope')
  reader.schemaId('schemaId')
  return readCausal(reader)
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  for (let index = 0; index < SCHEMA_ID_BYTES; index++) {
    if (left[index] !== right[index]) return false
  }
  return true
}

function checkSchemaId(name: string, schema: Uint8Array): void {
  if (schema.length === SCHEMA_ID_BYTES) return
  throw new LiminalError('INVALID_ARGUMENT', `${name}: a schema id has ${SCHEMA_ID_BYTES} bytes, not ${schema.length}`)
}

function versionNumber(version: Version): number {
  return version.major * 0x1_0000 + version.minor
}

function versionText(version: Version): string {
  return `${version.major}.${version.minor}`
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}
