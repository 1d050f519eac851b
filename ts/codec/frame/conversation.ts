import type {
  ConversationClose,
  ConversationError,
  ConversationMessage,
  ConversationOpen,
  Frame,
} from '../../protocol/index.ts'
import { FrameType } from '../../protocol/index.ts'
import { measureOptionalText, measureText, measureU16, measureU64 } from '../measure.ts'
import type { Reader } from '../reader.ts'
import type { Writer } from '../writer.ts'
import { measureEnvelope, readEnvelope, writeEnvelope } from './envelope.ts'
import { measureRefusal, readRefusal, writeRefusal } from './refusal.ts'

/** ConversationOpen to ConversationError (spec wire §4, 0x0c to 0x0f). */
export type ConversationFrame = ConversationOpen | ConversationMessage | ConversationClose | ConversationError

/** Payload bytes; checks the values. */
export function measureConversation(frame: ConversationFrame): number {
  const length = measureU64(frame.type, 'conversationId', frame.conversationId)
  switch (frame.type) {
    case 'ConversationMessage':
      return length + measureEnvelope('ConversationMessage', frame.envelope)
    case 'ConversationOpen':
      return length + measureText('ConversationOpen', 'subject', frame.subject)
    case 'ConversationClose': {
      const { reasonCode, message } = frame
      const reason = reasonCode === null ? 1 : 1 + measureU16('ConversationClose', 'reasonCode', reasonCode)
      return length + reason + measureOptionalText('ConversationClose', 'message', message)
    }
    case 'ConversationError':
      return length + measureRefusal('ConversationError', frame)
  }
}

/** Writes a measured payload. */
export function writeConversation(writer: Writer, frame: ConversationFrame): void {
  writer.u64(frame.conversationId)
  switch (frame.type) {
    case 'ConversationMessage':
      writeEnvelope(writer, frame.envelope)
      break
    case 'ConversationOpen':
      writer.text(frame.subject)
      break
    case 'ConversationClose':
      if (frame.reasonCode === null) {
        writer.u8(0)
      } else {
        writer.u8(1)
        writer.u16(frame.reasonCode)
      }
      writer.optionalText(frame.message)
      break
    case 'ConversationError':
      writeRefusal(writer, frame)
      break
  }
}

/** Reads the payload of a type of this family; null for any other type. */
export function readConversation(reader: Reader, typeId: number, flags: number, streamId: number): Frame | null {
  switch (typeId) {
    case FrameType.ConversationMessage: {
      const conversationId = reader.u64('conversationId')
      return { type: 'ConversationMessage', flags, streamId, conversationId, envelope: readEnvelope(reader) }
    }
    case FrameType.ConversationOpen: {
      const conversationId = reader.u64('conversationId')
      return { type: 'ConversationOpen', flags, streamId, conversationId, subject: reader.text('subject') }
    }
    case FrameType.ConversationClose: {
      const conversationId = reader.u64('conversationId')
      const reasonCode = reader.present('reasonCode') ? reader.u16('reasonCode') : null
      const message = reader.optionalText('message')
      return { type: 'ConversationClose', flags, streamId, conversationId, reasonCode, message }
    }
    case FrameType.ConversationError: {
      const conversationId = reader.u64('conversationId')
      const { reasonCode, message } = readRefusal(reader)
      return { type: 'ConversationError', flags, streamId, conversationId, reasonCode, message }
    }
    default:
      return null
  }
}
