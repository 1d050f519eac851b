import { LiminalError } from '../errors.ts'
import type { Frame } from '../protocol/index.ts'
import { FrameType, HEADER_BYTES } from '../protocol/index.ts'
import type { DecodedFrame } from './codec.ts'
import { codecError, incompleteHeader, invalidStream, truncatedPayload } from './failure.ts'
import { measureChannel, readChannel, writeChannel } from './frame/channel.ts'
import { measureConnection, readConnection, writeConnection } from './frame/connection.ts'
import { measureConversation, readConversation, writeConversation } from './frame/conversation.ts'
import { measurePressure, readPressure, writePressure } from './frame/pressure.ts'
import { measurePush, readPush, writePush } from './frame/push.ts'
import { measureUnknown, readUnknown, writeUnknown } from './frame/unknown.ts'
import { measureWorker, readWorker, writeWorker } from './frame/worker.ts'
import { readU32 } from './integers.ts'
import { measureU8, measureU32 } from './measure.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

/** One frame at a time, in both directions. The families do the payloads; the header, the stream rule and the order of checks are here. */

const TYPE_NAMES: readonly string[] = Object.entries(FrameType).reduce<string[]>((names, [name, id]) => {
  names[id] = name
  return names
}, [])

// One bit per type id below 32: the types that belong on stream 0.
const CONNECTION_TYPES = [
  FrameType.Connect,
  FrameType.ConnectAck,
  FrameType.ConnectError,
  FrameType.Disconnect,
  FrameType.Ping,
  FrameType.Pong,
  FrameType.WorkerRegister,
  FrameType.WorkerRegisterAck,
].reduce((bits, id) => bits | (1 << id), 0)

/** The name of a type byte; `Unknown` for a type that the protocol does not know. */
export function typeName(typeId: number): string {
  return TYPE_NAMES[typeId] ?? 'Unknown'
}

/** Whether the type byte names a frame of this protocol. */
export function isKnownType(typeId: number): boolean {
  return typeId >= FrameType.Connect && typeId <= FrameType.Deliver
}

/** The stream rule of spec wire §2, for a known type. */
export function isStreamAllowed(typeId: number, streamId: number): boolean {
  const onStreamZero = ((CONNECTION_TYPES >>> typeId) & 1) === 1
  return onStreamZero === (streamId === 0)
}

/** See Codec.encodedLength. */
export function encodedLength(frame: Frame): number {
  return HEADER_BYTES + measure(frame)
}

/** See Codec.encode. */
export function encode(frame: Frame): Uint8Array {
  const payloadLength = measure(frame)
  const target = Buffer.allocUnsafe(HEADER_BYTES + payloadLength)
  write(frame, payloadLength, target, 0)
  return target
}

/** See Codec.encodeInto. */
export function encodeInto(frame: Frame, target: Uint8Array, offset: number): number {
  const payloadLength = measure(frame)
  const length = HEADER_BYTES + payloadLength
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new LiminalError('INVALID_ARGUMENT', `encodeInto: offset ${offset} is not a non-negative integer`)
  }
  if (length > target.length - offset) {
    const room = Math.max(0, target.length - offset)
    throw codecError(`${frame.type}: the frame takes ${length} bytes, the target has room for ${room} at ${offset}`)
  }
  write(frame, payloadLength, target, offset)
  return length
}

/** See Codec.decode. The order of checks is spec wire §6. */
export function decode(bytes: Uint8Array, offset = 0): DecodedFrame {
  if (!Number.isSafeInteger(offset) || offset < 0 || offset > bytes.length) {
    throw new LiminalError('INVALID_ARGUMENT', `decode: offset ${offset} is outside the ${bytes.length} bytes given`)
  }
  const present = bytes.length - offset
  if (present < HEADER_BYTES) throw incompleteHeader(present)
  const typeId = bytes[offset]
  const flags = bytes[offset + 1]
  const streamId = readU32(bytes, offset + 2)
  const payloadLength = readU32(bytes, offset + 6)
  const length = HEADER_BYTES + payloadLength
  if (length > present) throw truncatedPayload(typeName(typeId), present - HEADER_BYTES, payloadLength)
  const start = offset + HEADER_BYTES
  const end = offset + length
  if (!isKnownType(typeId)) return { frame: readUnknown(bytes, start, end, typeId, flags, streamId), length }
  if (!isStreamAllowed(typeId, streamId)) throw invalidStream(typeName(typeId), streamId)
  const reader = new Reader(bytes, offset, start, end, TYPE_NAMES[typeId])
  const frame = read(reader, typeId, flags, streamId)
  reader.finish('payload')
  return { frame, length }
}

function read(reader: Reader, typeId: number, flags: number, streamId: number): Frame {
  const frame =
    readChannel(reader, typeId, flags, streamId) ??
    readConversation(reader, typeId, flags, streamId) ??
    readConnection(reader, typeId, flags, streamId) ??
    readPressure(reader, typeId, flags, streamId) ??
    readPush(reader, typeId, flags, streamId) ??
    readWorker(reader, typeId, flags, streamId)
  if (frame === null) throw new LiminalError('INTERNAL', `decode: no family reads the known type ${typeId}`)
  return frame
}

/** Payload bytes of a frame with every value checked: stream rule first, then header fields, then payload fields. */
function measure(frame: Frame): number {
  const { type, streamId } = frame
  if (type !== 'Unknown' && !isStreamAllowed(FrameType[type], streamId)) throw invalidStream(type, streamId)
  measureU8(type, 'flags', frame.flags)
  measureU32(type, 'streamId', streamId)
  const length = measurePayload(frame)
  if (length > 0xffff_ffff) throw codecError(`${type}: a payload of ${length} bytes does not fit a u32 length`)
  return length
}

function measurePayload(frame: Frame): number {
  switch (frame.type) {
    case 'Publish':
    case 'Deliver':
    case 'PublishAck':
    case 'Subscribe':
    case 'SubscribeAck':
    case 'SubscribeError':
    case 'Unsubscribe':
    case 'PublishError':
      return measureChannel(frame)
    case 'ConversationMessage':
    case 'ConversationOpen':
    case 'ConversationClose':
    case 'ConversationError':
      return measureConversation(frame)
    case 'Connect':
    case 'ConnectAck':
    case 'ConnectError':
    case 'Disconnect':
    case 'Ping':
    case 'Pong':
      return measureConnection(frame)
    case 'Accept':
    case 'Defer':
    case 'Reject':
      return measurePressure(frame)
    case 'Push':
    case 'PushReply':
      return measurePush(frame)
    case 'WorkerRegister':
    case 'WorkerRegisterAck':
      return measureWorker(frame)
    case 'Unknown':
      return measureUnknown(frame)
  }
}

function write(frame: Frame, payloadLength: number, target: Uint8Array, offset: number): void {
  const writer = new Writer(target, offset)
  writer.u8(frame.type === 'Unknown' ? frame.typeId : FrameType[frame.type])
  writer.u8(frame.flags)
  writer.u32(frame.streamId)
  writer.u32(payloadLength)
  switch (frame.type) {
    case 'Publish':
    case 'Deliver':
    case 'PublishAck':
    case 'Subscribe':
    case 'SubscribeAck':
    case 'SubscribeError':
    case 'Unsubscribe':
    case 'PublishError':
      writeChannel(writer, frame)
      break
    case 'ConversationMessage':
    case 'ConversationOpen':
    case 'ConversationClose':
    case 'ConversationError':
      writeConversation(writer, frame)
      break
    case 'Connect':
    case 'ConnectAck':
    case 'ConnectError':
    case 'Disconnect':
    case 'Ping':
    case 'Pong':
      writeConnection(writer, frame)
      break
    case 'Accept':
    case 'Defer':
    case 'Reject':
      writePressure(writer, frame)
      break
    case 'Push':
    case 'PushReply':
      writePush(writer, frame)
      break
    case 'WorkerRegister':
    case 'WorkerRegisterAck':
      writeWorker(writer, frame)
      break
    case 'Unknown':
      writeUnknown(writer, frame)
      break
  }
}
