import protobuf from 'protobufjs'
import { type MessageCodec, oneByOne } from '../message.ts'

const PROTO = `
syntax = "proto3";
message Publish {
  uint32 flags = 1;
  uint32 stream_id = 2;
  string channel = 3;
  bytes schema_id = 4;
  bytes payload = 5;
  optional string parent_id = 6;
  optional uint64 vector_clock_entry = 7;
  optional string idempotency_key = 8;
}
`

/** The fields of a Publish as this library reads them. A u64 is an object of the `long` package. */
interface PublishFields {
  readonly flags: number
  readonly streamId: number
  readonly channel: string
  readonly schemaId: Uint8Array
  readonly payload: Uint8Array
  readonly parentId: string
  readonly vectorClockEntry: { toString(): string }
  readonly idempotencyKey: string
}

/** Protocol Buffers by protobufjs: it writes an encoder and a decoder for the type when they are first called. */
export function protobufjsCodec(): MessageCodec {
  const type = protobuf.parse(PROTO).root.lookupType('Publish')
  return oneByOne<protobuf.Message>({
    name: 'protobufjs',
    materialises: 'an object of up to 8 fields; byte fields are views',
    from: ({ parentId, vectorClockEntry, idempotencyKey, ...required }) =>
      type.create({
        ...required,
        ...(parentId === null ? {} : { parentId }),
        ...(vectorClockEntry === null ? {} : { vectorClockEntry: Number(vectorClockEntry) }),
        ...(idempotencyKey === null ? {} : { idempotencyKey }),
      }),
    encode: (value) => type.encode(value).finish(),
    decode: (bytes) => type.decode(bytes),
    to: (value) => {
      const fields = value as protobuf.Message & PublishFields
      const { flags, streamId, channel, schemaId, payload } = fields
      return {
        flags,
        streamId,
        channel,
        schemaId,
        payload,
        // An absent field reads as the default of its type, from the prototype.
        parentId: Object.hasOwn(value, 'parentId') ? fields.parentId : null,
        vectorClockEntry: Object.hasOwn(value, 'vectorClockEntry') ? BigInt(fields.vectorClockEntry.toString()) : null,
        idempotencyKey: Object.hasOwn(value, 'idempotencyKey') ? fields.idempotencyKey : null,
      }
    },
  })
}
