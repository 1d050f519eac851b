import type { MessageCodec } from '../message.ts'
import { cborCodecs } from './cbor-x.ts'
import { msgpackrCodecs } from './msgpackr.ts'
import { protobufEsCodec } from './protobuf-es.ts'
import { protobufjsCodec } from './protobufjs.ts'

/** Codecs that other projects make. Their packages are those of bench/codec/package.json; importing this fails while they are not installed. */
export function peerCodecs(): MessageCodec[] {
  return [...msgpackrCodecs(), ...cborCodecs(), protobufEsCodec(), protobufjsCodec()]
}
