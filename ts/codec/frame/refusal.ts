import { measureOptionalText, measureU16 } from '../measure.ts'
import type { Reader } from '../reader.ts'
import type { Writer } from '../writer.ts'

/** The part that ConnectError, SubscribeError, PublishError and ConversationError share: u16 reasonCode, opt(str) message. */
export interface RefusalFields {
  readonly reasonCode: number
  readonly message: string | null
}

export function measureRefusal(type: string, refusal: RefusalFields): number {
  return measureU16(type, 'reasonCode', refusal.reasonCode) + measureOptionalText(type, 'message', refusal.message)
}

export function writeRefusal(writer: Writer, refusal: RefusalFields): void {
  writer.u16(refusal.reasonCode)
  writer.optionalText(refusal.message)
}

export function readRefusal(reader: Reader): RefusalFields {
  return { reasonCode: reader.u16('reasonCode'), message: reader.optionalText('message') }
}
