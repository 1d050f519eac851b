import type {
  Deliver,
  Frame,
  Publish,
  PublishAck,
  PublishError,
  Subscribe,
  SubscribeAck,
  SubscribeError,
  Unsubscribe,
} from '../../protocol/index.ts'
import { FrameType, PUBLISH_HAS_KEY, SCHEMA_ID_BYTES } from '../../protocol/index.ts'
import { codecError } from '../failure.ts'
import { measureSchemaId, measureText, measureU32, measureU64 } from '../measure.ts'
import type { Reader } from '../reader.ts'
import type { Writer } from '../writer.ts'
import { measureEnvelope, readEnvelope, writeEnvelope } from './envelope.ts'
import { measureRefusal, readRefusal, writeRefusal } from './refusal.ts'

/** Subscribe to PublishError, and Deliver (spec wire §4, 0x05 to 0x0b, 0x19). */
export type ChannelFrame =
  | Subscribe
  | SubscribeAck
  | SubscribeError
  | Unsubscribe
  | Publish
  | PublishAck
  | PublishError
  | Deliver

/** Payload bytes; checks the values. */
export function measureChannel(frame: ChannelFrame): number {
  switch (frame.type) {
    case 'Publish':
      return measurePublish(frame)
    case 'Deliver':
      return measureU64('Deliver', 'deliverySeq', frame.deliverySeq) + measureEnvelope('Deliver', frame.envelope)
    case 'PublishAck':
      return measureU64('PublishAck', 'messageId', frame.messageId)
    case 'Subscribe':
      return measureSubscribe(frame)
    case 'SubscribeAck':
      return (
        measureU64('SubscribeAck', 'subscriptionId', frame.subscriptionId) +
        measureSchemaId('SubscribeAck', 'selectedSchema', frame.selectedSchema)
      )
    case 'Unsubscribe':
      return measureU64('Unsubscribe', 'subscriptionId', frame.subscriptionId)
    case 'SubscribeError':
    case 'PublishError':
      return measureRefusal(frame.type, frame)
  }
}

/** Writes a measured payload. */
export function writeChannel(writer: Writer, frame: ChannelFrame): void {
  switch (frame.type) {
    case 'Publish':
      writer.text(frame.channel)
      writeEnvelope(writer, frame.envelope)
      if (frame.idempotencyKey !== null) writer.text(frame.idempotencyKey)
      break
    case 'Deliver':
      writer.u64(frame.deliverySeq)
      writeEnvelope(writer, frame.envelope)
      break
    case 'PublishAck':
      writer.u64(frame.messageId)
      break
    case 'Subscribe':
      writer.text(frame.channel)
      writer.u32(frame.acceptedSchemas.length)
      for (const schema of frame.acceptedSchemas) writer.raw(schema)
      writer.u32(frame.maxInFlight)
      break
    case 'SubscribeAck':
      writer.u64(frame.subscriptionId)
      writer.raw(frame.selectedSchema)
      break
    case 'Unsubscribe':
      writer.u64(frame.subscriptionId)
      break
    case 'SubscribeError':
    case 'PublishError':
      writeRefusal(writer, frame)
      break
  }
}

/** Reads the payload of a type of this family; null for any other type. */
export function readChannel(reader: Reader, typeId: number, flags: number, streamId: number): Frame | null {
  switch (typeId) {
    case FrameType.Publish: {
      const channel = reader.text('channel')
      const envelope = readEnvelope(reader)
      const idempotencyKey = flags & PUBLISH_HAS_KEY ? reader.text('idempotencyKey') : null
      return { type: 'Publish', flags, streamId, channel, envelope, idempotencyKey }
    }
    case FrameType.Deliver: {
      const deliverySeq = reader.u64('deliverySeq')
      return { type: 'Deliver', flags, streamId, deliverySeq, envelope: readEnvelope(reader) }
    }
    case FrameType.PublishAck:
      return { type: 'PublishAck', flags, streamId, messageId: reader.u64('messageId') }
    case FrameType.Subscribe:
      return readSubscribe(reader, flags, streamId)
    case FrameType.SubscribeAck: {
      const subscriptionId = reader.u64('subscriptionId')
      return {
        type: 'SubscribeAck',
        flags,
        streamId,
        subscriptionId,
        selectedSchema: reader.schemaId('selectedSchema'),
      }
    }
    case FrameType.Unsubscribe:
      return { type: 'Unsubscribe', flags, streamId, subscriptionId: reader.u64('subscriptionId') }
    case FrameType.SubscribeError: {
      const { reasonCode, message } = readRefusal(reader)
      return { type: 'SubscribeError', flags, streamId, reasonCode, message }
    }
    case FrameType.PublishError: {
      const { reasonCode, message } = readRefusal(reader)
      return { type: 'PublishError', flags, streamId, reasonCode, message }
    }
    default:
      return null
  }
}

function measurePublish(frame: Publish): number {
  const { idempotencyKey } = frame
  const flagged = (frame.flags & PUBLISH_HAS_KEY) !== 0
  if (flagged !== (idempotencyKey !== null)) {
    const problem = flagged ? 'flag 0x02 is set but there is no key' : 'there is a key but flag 0x02 is not set'
    throw codecError(`Publish.idempotencyKey: ${problem}`)
  }
  return (
    measureText('Publish', 'channel', frame.channel) +
    measureEnvelope('Publish', frame.envelope) +
    (idempotencyKey === null ? 0 : measureText('Publish', 'idempotencyKey', idempotencyKey))
  )
}

function measureSubscribe(frame: Subscribe): number {
  let length = 4 + measureU32('Subscribe', 'maxInFlight', frame.maxInFlight)
  if (frame.maxInFlight === 0) throw codecError('Subscribe.maxInFlight: 0 would never deliver; it is at least 1')
  for (const schema of frame.acceptedSchemas) length += measureSchemaId('Subscribe', 'acceptedSchemas', schema)
  return length + measureText('Subscribe', 'channel', frame.channel)
}

function readSubscribe(reader: Reader, flags: number, streamId: number): Subscribe {
  const channel = reader.text('channel')
  const acceptedSchemas: Uint8Array[] = []
  for (let left = reader.count('acceptedSchemas', SCHEMA_ID_BYTES); left > 0; left--) {
    acceptedSchemas.push(reader.schemaId('acceptedSchemas'))
  }
  const maxInFlight = reader.u32('maxInFlight')
  if (maxInFlight === 0) throw reader.fail('maxInFlight', reader.position - 4, '0 would never deliver')
  return { type: 'Subscribe', flags, streamId, channel, acceptedSchemas, maxInFlight }
}
