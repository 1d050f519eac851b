import type { Accept, Defer, Frame, Reject } from '../../protocol/index.ts'
import { FrameType } from '../../protocol/index.ts'
import { measureOptionalText, measureText } from '../measure.ts'
import type { Reader } from '../reader.ts'
import type { Writer } from '../writer.ts'

/** Accept, Defer, Reject (spec wire §4, 0x10 to 0x12). */
export type PressureFrame = Accept | Defer | Reject

/** Payload bytes; checks the values. */
export function measurePressure(frame: PressureFrame): number {
  const length = measureText(frame.type, 'referencedMessageId', frame.referencedMessageId)
  return frame.type === 'Accept' ? length : length + measureOptionalText(frame.type, 'reason', frame.reason)
}

/** Writes a measured payload. */
export function writePressure(writer: Writer, frame: PressureFrame): void {
  writer.text(frame.referencedMessageId)
  if (frame.type !== 'Accept') writer.optionalText(frame.reason)
}

/** Reads the payload of a type of this family; null for any other type. */
export function readPressure(reader: Reader, typeId: number, flags: number, streamId: number): Frame | null {
  if (typeId < FrameType.Accept || typeId > FrameType.Reject) return null
  const referencedMessageId = reader.text('referencedMessageId')
  if (typeId === FrameType.Accept) return { type: 'Accept', flags, streamId, referencedMessageId }
  const reason = reader.optionalText('reason')
  return typeId === FrameType.Defer
    ? { type: 'Defer', flags, streamId, referencedMessageId, reason }
    : { type: 'Reject', flags, streamId, referencedMessageId, reason }
}
