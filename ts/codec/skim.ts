import { FrameType, SCHEMA_ID_BYTES } from '../protocol/index.ts'
import { readU32 } from './integers.ts'
import { isValidText } from './text.ts'

/**
 * Validation without values: the same rules as the readers in `frame/`, but nothing is allocated and nothing is thrown. Each skip takes the offset
 * of a field and returns the offset behind it, or {@link BAD}. BAD is passed on, so skips nest: the innermost is the first field.
 */
export const BAD = -1

/** Whether bytes[start, end) are a valid payload of a known type without an envelope. */
export function isValidPayload(bytes: Uint8Array, typeId: number, start: number, end: number): boolean {
  switch (typeId) {
    case FrameType.Disconnect:
    case FrameType.Ping:
    case FrameType.Pong:
      return start === end
    case FrameType.ConnectAck:
    case FrameType.Unsubscribe:
      return start + 8 === end
    case FrameType.Connect:
      return skipBlock(bytes, skip(start, 8, end), end) === end
    case FrameType.ConnectError:
    case FrameType.SubscribeError:
    case FrameType.PublishError:
      return skipOptionalText(bytes, skip(start, 2, end), end) === end
    case FrameType.Subscribe:
      return isSubscribe(bytes, start, end)
    case FrameType.SubscribeAck:
      return start + 8 + SCHEMA_ID_BYTES === end
    case FrameType.ConversationOpen:
      return skipText(bytes, skip(start, 8, end), end) === end
    case FrameType.ConversationClose: {
      const message = skipOptional(bytes, skip(start, 8, end), end, 2)
      return skipOptionalText(bytes, message, end) === end
    }
    case FrameType.ConversationError:
      return skipOptionalText(bytes, skip(start, 10, end), end) === end
    case FrameType.Accept:
      return skipText(bytes, start, end) === end
    case FrameType.Defer:
    case FrameType.Reject:
      return skipOptionalText(bytes, skipText(bytes, start, end), end) === end
    case FrameType.WorkerRegister:
      return isWorkerRegister(bytes, start, end)
    case FrameType.WorkerRegisterAck: {
      if (start === end) return false
      const status = bytes[start]
      return (status === 0 ? start + 1 : status === 1 ? skipText(bytes, start + 1, end) : BAD) === end
    }
    default:
      return false
  }
}

/**
 * Validates the envelope whose u32 length is at `at` and which must end by `limit`. Returns the offset of its payload bytes, whose length is the
 * u32 before them, or BAD. `data` is a view of `bytes`.
 */
export function envelopePayload(bytes: Uint8Array, data: DataView, at: number, limit: number): number {
  if (limit - at < 46) return BAD
  const end = at + 4 + data.getUint32(at)
  if (end > limit || end < at + 46) return BAD
  const causal = at + 40
  const causalEnd = causal + data.getUint32(at + 36)
  if (causalEnd > end - 4) return BAD
  if (causalEnd === causal + 2) {
    // Nothing said about the origin, as most messages have it.
    if (data.getUint16(causal) !== 0) return BAD
  } else if (skipOptional(bytes, skipOptionalText(bytes, causal, causalEnd), causalEnd, 8) !== causalEnd) {
    return BAD
  }
  return causalEnd + 4 + data.getUint32(causalEnd) === end ? causalEnd + 4 : BAD
}

function skip(at: number, length: number, end: number): number {
  return at === BAD || length > end - at ? BAD : at + length
}

function skipBlock(bytes: Uint8Array, at: number, end: number): number {
  if (at === BAD || end - at < 4) return BAD
  return skip(at + 4, readU32(bytes, at), end)
}

function skipText(bytes: Uint8Array, at: number, end: number): number {
  const next = skipBlock(bytes, at, end)
  return next !== BAD && isValidText(bytes, at + 4, next) ? next : BAD
}

function skipOptional(bytes: Uint8Array, at: number, end: number, length: number): number {
  if (at === BAD || at === end || bytes[at] > 1) return BAD
  return bytes[at] === 0 ? at + 1 : skip(at + 1, length, end)
}

function skipOptionalText(bytes: Uint8Array, at: number, end: number): number {
  if (at === BAD || at === end || bytes[at] > 1) return BAD
  return bytes[at] === 0 ? at + 1 : skipText(bytes, at + 1, end)
}

/** A list of elements that are `width` texts each. */
function skipTexts(bytes: Uint8Array, at: number, end: number, width: number): number {
  if (at === BAD || end - at < 4) return BAD
  const count = readU32(bytes, at) * width
  if (count * 4 > end - at - 4) return BAD
  let next = at + 4
  for (let left = count; left > 0 && next !== BAD; left--) next = skipText(bytes, next, end)
  return next
}

function isSubscribe(bytes: Uint8Array, start: number, end: number): boolean {
  const list = skipText(bytes, start, end)
  if (list === BAD || end - list < 4) return false
  const window = skip(list + 4, readU32(bytes, list) * SCHEMA_ID_BYTES, end)
  return window !== BAD && window + 4 === end && readU32(bytes, window) !== 0
}

function isWorkerRegister(bytes: Uint8Array, start: number, end: number): boolean {
  const taskQueue = skipTexts(bytes, start, end, 1)
  const node = skipText(bytes, taskQueue, end)
  const activityTypes = skipOptionalText(bytes, node, end)
  const identity = skipTexts(bytes, activityTypes, end, 1)
  const activities = skipText(bytes, identity, end)
  return activities === end || skipTexts(bytes, activities, end, 3) === end
}
