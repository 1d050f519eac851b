import type { Unknown } from '../../protocol/index.ts'
import { FrameType } from '../../protocol/index.ts'
import { codecError } from '../failure.ts'
import { measureU8 } from '../measure.ts'
import { view } from '../text.ts'
import type { Writer } from '../writer.ts'

/** Payload bytes; refuses a known type id, which would come out on the wire as that type (spec wire §8). */
export function measureUnknown(frame: Unknown): number {
  measureU8('Unknown', 'typeId', frame.typeId)
  if (frame.typeId >= FrameType.Connect && frame.typeId <= FrameType.Deliver) {
    throw codecError(`Unknown.typeId: ${frame.typeId} is a known type; encode that frame instead`)
  }
  if (!(frame.payload instanceof Uint8Array)) throw codecError('Unknown.payload: not a Uint8Array')
  return frame.payload.length
}

/** Writes a measured payload: verbatim, without a length of its own. */
export function writeUnknown(writer: Writer, frame: Unknown): void {
  writer.raw(frame.payload)
}

/** Takes a whole payload as it is. */
export function readUnknown(
  bytes: Uint8Array,
  start: number,
  end: number,
  typeId: number,
  flags: number,
  streamId: number,
): Unknown {
  return { type: 'Unknown', typeId, flags, streamId, payload: view(bytes, start, end) }
}
