import { Packr } from 'msgpackr'
import { type Message, type MessageCodec, oneByOne } from '../message.ts'
import { isRecord, toMessage } from './record.ts'

/** MessagePack by msgpackr: standard maps, and its record extension, for which both ends have to share the list of structures. */
export function msgpackrCodecs(): MessageCodec[] {
  return [
    codec('msgpackr', new Packr({ useRecords: false })),
    codec('msgpackr, records', new Packr({ structures: [] })),
  ]
}

function codec(name: string, packr: Packr): MessageCodec {
  return oneByOne<Message>({
    name,
    materialises: 'an object of 8 fields; byte fields are views',
    from: (message) => ({ ...message }),
    encode: (message) => packr.pack(message),
    decode: (bytes) => {
      const value: unknown = packr.unpack(bytes)
      if (isRecord(value)) return value
      throw new Error('msgpackr decoded no object')
    },
    to: toMessage,
  })
}
