import type { Frame, Push, PushReply } from '../../protocol/index.ts'
import { FrameType } from '../../protocol/index.ts'
import { measureBlock, measureU64 } from '../measure.ts'
import type { Reader } from '../reader.ts'
import type { Writer } from '../writer.ts'

/** Push and PushReply (spec wire §4, 0x15 and 0x16). */
export type PushFrame = Push | PushReply

/** Payload bytes; checks the values. */
export function measurePush(frame: PushFrame): number {
  return (
    measureU64(frame.type, 'correlationId', frame.correlationId) + measureBlock(frame.type, 'payload', frame.payload)
  )
}

/** Writes a measured payload. */
export function writePush(writer: Writer, frame: PushFrame): void {
  writer.u64(frame.correlationId)
  writer.block(frame.payload)
}

/** Reads the payload of a type of this family; null for any other type. */
export function readPush(reader: Reader, typeId: number, flags: number, streamId: number): Frame | null {
  if (typeId !== FrameType.Push && typeId !== FrameType.PushReply) return null
  const correlationId = reader.u64('correlationId')
  const payload = reader.block('payload')
  return typeId === FrameType.Push
    ? { type: 'Push', flags, streamId, correlationId, payload }
    : { type: 'PushReply', flags, streamId, correlationId, payload }
}
