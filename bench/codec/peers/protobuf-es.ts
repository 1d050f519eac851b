import {
  create,
  createFileRegistry,
  fromBinary,
  isFieldSet,
  type Message as ProtobufMessage,
  toBinary,
} from '@bufbuild/protobuf'
import { type GenMessage, messageDesc } from '@bufbuild/protobuf/codegenv2'
import {
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt'
import { type MessageCodec, oneByOne } from '../message.ts'

/** The message of {@link descriptorOf} as this library holds it. */
type PublishMessage = ProtobufMessage<'liminal.bench.Publish'> & {
  flags: number
  streamId: number
  channel: string
  schemaId: Uint8Array
  payload: Uint8Array
  parentId?: string
  vectorClockEntry?: bigint
  idempotencyKey?: string
}

/** Fields in the order of their numbers, as in protobufjs.ts. The last three may be absent. */
const FIELDS = [
  { name: 'flags', type: Type.UINT32, optional: false },
  { name: 'stream_id', type: Type.UINT32, optional: false },
  { name: 'channel', type: Type.STRING, optional: false },
  { name: 'schema_id', type: Type.BYTES, optional: false },
  { name: 'payload', type: Type.BYTES, optional: false },
  { name: 'parent_id', type: Type.STRING, optional: true },
  { name: 'vector_clock_entry', type: Type.UINT64, optional: true },
  { name: 'idempotency_key', type: Type.STRING, optional: true },
]

/**
 * Protocol Buffers by `@bufbuild/protobuf`. Its generated code is a descriptor and types, and the work is done by the library at run time: a
 * descriptor made here instead of by a generator runs the same code.
 */
export function protobufEsCodec(): MessageCodec {
  const descriptor = descriptorOf()
  const isSet = (value: PublishMessage, name: 'parentId' | 'vectorClockEntry' | 'idempotencyKey') =>
    isFieldSet(value, descriptor.field[name])
  return oneByOne<PublishMessage>({
    name: '@bufbuild/protobuf',
    materialises: 'an object of up to 8 fields; byte fields are views',
    from: ({ parentId, vectorClockEntry, idempotencyKey, ...required }) =>
      create(descriptor, {
        ...required,
        ...(parentId === null ? {} : { parentId }),
        ...(vectorClockEntry === null ? {} : { vectorClockEntry }),
        ...(idempotencyKey === null ? {} : { idempotencyKey }),
      }),
    encode: (value) => toBinary(descriptor, value),
    decode: (bytes) => fromBinary(descriptor, bytes),
    // An absent field reads as the default of its type, so its value alone does not tell.
    to: (value) => ({
      flags: value.flags,
      streamId: value.streamId,
      channel: value.channel,
      schemaId: value.schemaId,
      payload: value.payload,
      parentId: isSet(value, 'parentId') ? (value.parentId ?? null) : null,
      vectorClockEntry: isSet(value, 'vectorClockEntry') ? (value.vectorClockEntry ?? null) : null,
      idempotencyKey: isSet(value, 'idempotencyKey') ? (value.idempotencyKey ?? null) : null,
    }),
  })
}

function descriptorOf(): GenMessage<PublishMessage> {
  const optionals = FIELDS.filter(({ optional }) => optional)
  const proto = create(FileDescriptorProtoSchema, {
    name: 'publish.proto',
    package: 'liminal.bench',
    syntax: 'proto3',
    messageType: [
      {
        name: 'Publish',
        field: FIELDS.map(({ name, type, optional }, index) => ({
          name,
          number: index + 1,
          type,
          label: Label.OPTIONAL,
          // This is how a descriptor says `optional`: by a oneof of the field's own.
          ...(optional
            ? { proto3Optional: true, oneofIndex: optionals.findIndex((other) => other.name === name) }
            : {}),
        })),
        oneofDecl: optionals.map(({ name }) => ({ name: `_${name}` })),
      },
    ],
  })
  const file = createFileRegistry(proto, () => undefined).getFile('publish.proto')
  if (file === undefined) throw new Error('The registry does not know the file that it was made of')
  return messageDesc<PublishMessage>(file, 0)
}
