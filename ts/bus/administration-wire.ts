import { describe } from '../arguments.ts'
import { isErrorCode, LiminalError } from '../errors.ts'
import { toLiminalError } from '../thrown.ts'
import type { Administration, ChannelInfo, CursorInfo, LoggedMessage } from './administration.ts'
import { PEEKED_AT_ONCE_BYTES } from './peeking.ts'
import type { StartPosition } from './subscription.ts'

/** The subject that a server answers itself: requests and replies are JSON, see docs/protocol.md. */
export const ADMINISTRATION_SUBJECT = '$administration'

/** A position on the wire: a u64 as decimal text. */
type WireStart = 'latest' | 'earliest' | { readonly position: string } | { readonly time: number }

/** What is asked of a server. */
export type AdministrationRequest =
  | { readonly operation: 'channels' }
  | { readonly operation: 'channel'; readonly channel: string }
  | {
      readonly operation: 'peek'
      readonly channel: string
      readonly from?: WireStart | undefined
      readonly limit?: number | undefined
    }
  | { readonly operation: 'purge'; readonly channel: string; readonly before?: string | undefined }
  | { readonly operation: 'remove-channel'; readonly channel: string }
  | { readonly operation: 'cursors'; readonly channel?: string | undefined }
  | {
      readonly operation: 'set-cursor'
      readonly channel: string
      readonly cursor: string
      readonly to: WireStart
    }
  | { readonly operation: 'remove-cursor'; readonly channel: string; readonly cursor: string }

/** What it answers. */
export type AdministrationReply =
  | { readonly result: unknown }
  | { readonly error: { readonly code: string; readonly message: string } }

/** Does what a request asks for. Never rejects. */
export async function answerAdministration(
  administration: Administration,
  request: unknown,
  signal: AbortSignal,
): Promise<AdministrationReply> {
  try {
    return { result: await resultOf(administration, fieldsOf(request, 'the request'), signal) }
  } catch (thrown) {
    const { code, message } = toLiminalError(thrown)
    return { error: { code, message } }
  }
}

async function resultOf(administration: Administration, request: Fields, signal: AbortSignal): Promise<unknown> {
  const { operation, channel, cursor } = request
  switch (operation) {
    case 'channels':
      return (await administration.channels({ signal })).map(writeChannel)
    case 'channel':
      return writeChannel(await administration.channel(text('channel', channel), { signal }))
    case 'peek': {
      const from = request.from === undefined ? 'earliest' : readStart('from', request.from)
      const limit = request.limit === undefined ? {} : { limit: count('limit', request.limit) }
      const options = { from, ...limit, maxBytes: PEEKED_AT_ONCE_BYTES, signal }
      const messages = await administration.peek(text('channel', channel), options)
      return messages.map(writeMessage)
    }
    case 'purge': {
      const before = request.before === undefined ? {} : { before: u64('before', request.before) }
      return (await administration.purge(text('channel', channel), { ...before, signal })).toString()
    }
    case 'remove-channel':
      await administration.removeChannel(text('channel', channel), { signal })
      return null
    case 'cursors': {
      const of = channel === undefined ? undefined : text('channel', channel)
      return (await administration.cursors(of, { signal })).map(writeCursor)
    }
    case 'set-cursor': {
      const to = readStart('to', request.to)
      return writeCursor(
        await administration.setCursor(text('channel', channel), text('cursor', cursor), to, { signal }),
      )
    }
    case 'remove-cursor':
      await administration.removeCursor(text('channel', channel), text('cursor', cursor), { signal })
      return null
    default:
      throw new LiminalError('NOT_SUPPORTED', `This server knows no operation ${describe(operation)}.`)
  }
}

/** The result in a reply. @throws LiminalError what the server says; `NOT_SUPPORTED` if it is none, as of somebody who echoes. */
export function resultIn(reply: unknown): unknown {
  const fields = fieldsOf(reply, 'the reply')
  if (Object.hasOwn(fields, 'result')) return fields.result
  if (fields.error === undefined) {
    throw new LiminalError('NOT_SUPPORTED', `Whoever answers '${ADMINISTRATION_SUBJECT}' there is no administration.`)
  }
  const { code, message } = fieldsOf(fields.error, 'error')
  const known = typeof code === 'string' && isErrorCode(code) ? code : 'REMOTE_ERROR'
  throw new LiminalError(known, typeof message === 'string' ? message : 'The server refused and did not say why.')
}

export function writeStart(start: StartPosition): WireStart {
  if (typeof start === 'string') return start
  if ('position' in start) return { position: start.position.toString() }
  return { time: start.time instanceof Date ? start.time.getTime() : start.time }
}

export function readChannel(value: unknown): ChannelInfo {
  const fields = fieldsOf(value, 'a channel')
  const { sync } = fields
  return {
    name: text('name', fields.name),
    durable: fields.durable === true,
    subscribers: count('subscribers', fields.subscribers),
    schemaId: orNull('schemaId', fields.schemaId, text),
    first: orNull('first', fields.first, u64),
    next: orNull('next', fields.next, u64),
    bytes: orNull('bytes', fields.bytes, count),
    firstTimestamp: orNull('firstTimestamp', fields.firstTimestamp, count),
    lastTimestamp: orNull('lastTimestamp', fields.lastTimestamp, count),
    sync: sync === 'each' || sync === 'interval' || sync === 'os' ? sync : null,
  }
}

export function readCursor(value: unknown): CursorInfo {
  const { channel, name, position, lag, owned } = fieldsOf(value, 'a cursor')
  return {
    channel: text('channel', channel),
    name: text('name', name),
    position: u64('position', position),
    lag: u64('lag', lag),
    owned: owned === true,
  }
}

export function readMessage(value: unknown): LoggedMessage {
  const fields = fieldsOf(value, 'a message')
  return {
    position: u64('position', fields.position),
    messageId: u64('messageId', fields.messageId),
    timestamp: count('timestamp', fields.timestamp),
    publisher: orNull('publisher', fields.publisher, text),
    idempotencyKey: orNull('idempotencyKey', fields.idempotencyKey, text),
    schemaId: bytesIn(text('schemaId', fields.schemaId), 'hex'),
    causal: {
      parentId: orNull('parentId', fields.parentId, text),
      vectorClockEntry: orNull('vectorClockEntry', fields.vectorClockEntry, u64),
    },
    payload: bytesIn(text('payload', fields.payload), 'base64'),
  }
}

export function readCount(value: unknown): bigint {
  return u64('result', value)
}

export function readList<Item>(value: unknown, read: (item: unknown) => Item): readonly Item[] {
  if (!Array.isArray(value)) throw unreadable('the result', 'a list')
  return value.map(read)
}

function writeChannel(channel: ChannelInfo) {
  const { first, next } = channel
  return { ...channel, first: first?.toString() ?? null, next: next?.toString() ?? null }
}

function writeCursor(cursor: CursorInfo) {
  return { ...cursor, position: cursor.position.toString(), lag: cursor.lag.toString() }
}

function writeMessage({ position, messageId, schemaId, causal, payload, ...others }: LoggedMessage) {
  return {
    ...others,
    position: position.toString(),
    messageId: messageId.toString(),
    schemaId: Buffer.from(schemaId).toString('hex'),
    parentId: causal.parentId,
    vectorClockEntry: causal.vectorClockEntry?.toString() ?? null,
    payload: Buffer.from(payload).toString('base64'),
  }
}

type Fields = Readonly<Record<string, unknown>>

function readStart(member: string, value: unknown): StartPosition {
  if (value === 'latest' || value === 'earliest') return value
  const { position, time } = fieldsOf(value, member)
  return position === undefined ? { time: count(member, time) } : { position: u64(member, position) }
}

function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unreadable(what, 'an object')
  return value as Fields
}

function text(member: string, value: unknown): string {
  if (typeof value !== 'string') throw unreadable(member, 'text')
  return value
}

function count(member: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw unreadable(member, 'a number')
  return value
}

function u64(member: string, value: unknown): bigint {
  if (typeof value !== 'string' || !/^\d{1,20}$/.test(value)) throw unreadable(member, 'the decimal digits of a u64')
  return BigInt(value)
}

function orNull<Value>(member: string, value: unknown, read: (member: string, value: unknown) => Value): Value | null {
  return value === undefined || value === null ? null : read(member, value)
}

function bytesIn(value: string, encoding: 'hex' | 'base64'): Uint8Array {
  return new Uint8Array(Buffer.from(value, encoding))
}

function unreadable(what: string, expected: string): LiminalError {
  return new LiminalError(
    'INVALID_ARGUMENT',
    `What was said about administration cannot be read: ${what} must be ${expected}.`,
  )
}
