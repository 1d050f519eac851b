import { type Codec, Column, createNameTable, HEAD_WIDTH, type Publish, ROW_WIDTH } from '../../ts/codec/index.ts'
import { type Message, type MessageCodec, oneByOne } from './message.ts'

/** The frame that says what a message says. */
function frameOf(message: Message): Publish {
  const { flags, streamId, channel, schemaId, parentId, vectorClockEntry, payload, idempotencyKey } = message
  const envelope = { schemaId, causal: { parentId, vectorClockEntry }, payload }
  return { type: 'Publish', flags, streamId, channel, envelope, idempotencyKey }
}

function messageOf(frame: Publish): Message {
  const { flags, streamId, channel, envelope, idempotencyKey } = frame
  const { schemaId, causal, payload } = envelope
  return { flags, streamId, channel, schemaId, ...causal, payload, idempotencyKey }
}

function publishOf(frame: { readonly type: string }): Publish {
  if (frame.type === 'Publish') return frame as Publish
  throw new Error(`A Publish was decoded as ${frame.type}`)
}

/** A frame at a time: the path that both codecs share. */
export function singleFrames(codec: Codec): MessageCodec {
  return oneByOne<Publish>({
    name: 'liminal, frame by frame',
    materialises: 'a frame object and its envelope',
    from: frameOf,
    encode: codec.encode,
    decode: (bytes) => publishOf(codec.decode(bytes).frame),
    to: messageOf,
  })
}

/** How much of a scanned chunk is looked at. */
type Reading = 'columns' | 'views' | 'objects'

const MATERIALISES: Record<Reading, string> = {
  columns: '13 numbers a message, in one array that is used again',
  views: 'the same, and of each message its channel, views of its schema id and payload, and its key if it has one',
  objects: 'the same, and of each message a frame object and its envelope',
}

/** A chunk of frames at a time, as it comes from a socket. Encodes as {@link singleFrames} does, which is why it has no encoder of its own. */
export function chunkOfFrames(codec: Codec, reading: Reading): MessageCodec {
  const decoderOf = () => {
    const names = createNameTable()
    names.add('orders')
    return new codec.FrameDecoder({ names })
  }
  return {
    name: `liminal ${codec.name}, chunk to ${reading}`,
    materialises: MATERIALISES[reading],
    encoder: null,
    encode: (messages) => messages.map((message) => codec.encode(frameOf(message))),
    decoder: (encoded) => {
      const chunk = Buffer.concat(encoded)
      const decoder = decoderOf()
      return () => {
        let seen = 0
        decoder.push(chunk)
        while (decoder.next()) seen += look(decoder.batch, reading)
        return seen
      }
    },
    decode: (encoded) => [...decoderOf().frames(Buffer.concat(encoded))].map((frame) => messageOf(publishOf(frame))),
  }
}

type Batch = InstanceType<Codec['FrameDecoder']>['batch']

/** Reads what is asked for of every row; the sum keeps it from being optimised away. */
function look(batch: Batch, reading: Reading): number {
  if (reading === 'columns') return batch.count
  let sum = 0
  for (let row = 0; row < batch.count; row++) {
    sum += reading === 'objects' ? batch.frame(row).flags : viewsOf(batch, row)
  }
  return sum
}

function viewsOf(batch: Batch, row: number): number {
  const { bytes, columns } = batch
  const at = HEAD_WIDTH + row * ROW_WIDTH
  const envelope = columns[at + Column.ENVELOPE]
  const payload = columns[at + Column.PAYLOAD]
  const schemaId = bytes.subarray(envelope, envelope + 32)
  const content = bytes.subarray(payload, payload + columns[at + Column.PAYLOAD_LENGTH])
  const keyLength = columns[at + Column.KEY_LENGTH]
  const keyAt = columns[at + Column.KEY]
  const key = keyLength < 0 ? '' : Buffer.from(bytes.buffer, bytes.byteOffset + keyAt, keyLength).toString()
  return batch.channel(row).length + schemaId.length + content.length + key.length
}
