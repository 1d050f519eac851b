import type { Message } from '../message.ts'

/** Whether a schemaless codec decoded an object, which then is the record that was encoded: the round trip is checked before anything is measured. */
export function isRecord(value: unknown): value is Message {
  return typeof value === 'object' && value !== null
}

/** A message of the same types as the one that was encoded: a small u64 comes back as a number. */
export function toMessage(record: Message): Message {
  const { vectorClockEntry } = record
  return { ...record, vectorClockEntry: vectorClockEntry === null ? null : BigInt(vectorClockEntry) }
}
