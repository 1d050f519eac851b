import { Encoder } from 'cbor-x'
import { type Message, type MessageCodec, oneByOne } from '../message.ts'
import { isRecord, toMessage } from './record.ts'

/** CBOR by cbor-x: standard maps, and its record extension, for which both ends have to share the list of structures. */
export function cborCodecs(): MessageCodec[] {
  // Without this a Uint8Array is tagged as a typed array and comes back as a copy; CBOR's own byte string is the fair form.
  const bytes = { tagUint8Array: false }
  return [
    codec('cbor-x', new Encoder({ ...bytes, useRecords: false, mapsAsObjects: true })),
    codec('cbor-x, records', new Encoder({ ...bytes, useRecords: true, structures: [] })),
  ]
}

function codec(name: string, encoder: Encoder): MessageCodec {
  return oneByOne<Message>({
    name,
    materialises: 'an object of 8 fields; byte fields are views',
    from: (message) => ({ ...message }),
    encode: (message) => encoder.encode(message),
    decode: (bytes) => {
      const value: unknown = encoder.decode(bytes)
      if (isRecord(value)) return value
      throw new Error('cbor-x decoded no object')
    },
    to: toMessage,
  })
}
