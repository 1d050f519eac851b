import { ProtocolError } from '../errors.ts'
import { ReasonCode } from '../protocol/index.ts'

/** A value or bytes that have no valid form inside a payload (spec wire §6: CodecError, 9). */
export function codecError(message: string): ProtocolError {
  return new ProtocolError('CodecError', ReasonCode.Codec, message)
}

/** A known type on the wrong kind of stream (InvalidStream, 4). */
export function invalidStream(type: string, streamId: number): ProtocolError {
  const rule = streamId === 0 ? 'needs a stream of at least 1, not 0' : `belongs on stream 0, not ${streamId}`
  return new ProtocolError('InvalidStream', ReasonCode.InvalidStream, `${type}.streamId: this frame ${rule}`)
}

/** Fewer than ten bytes of a frame (IncompleteHeader, 1). */
export function incompleteHeader(present: number): ProtocolError {
  const message = `The frame header is cut: ${present} of 10 bytes are present`
  return new ProtocolError('IncompleteHeader', ReasonCode.IncompleteHeader, message)
}

/** Fewer payload bytes than the header declares (TruncatedPayload, 2). */
export function truncatedPayload(type: string, present: number, declared: number): ProtocolError {
  const message = `${type}: the payload is cut: ${present} of the declared ${declared} bytes are present`
  return new ProtocolError('TruncatedPayload', ReasonCode.TruncatedPayload, message)
}

/** A frame past the cap of its decoder, refused from the header alone (FrameTooLarge, sent as 9). */
export function frameTooLarge(type: string, bytes: number, maxFrameBytes: number): ProtocolError {
  const message = `${type}: the header declares a frame of ${bytes} bytes, the cap is ${maxFrameBytes} (option maxFrameBytes)`
  return new ProtocolError('FrameTooLarge', ReasonCode.Codec, message)
}
