import { type Envelope, type Frame, FrameType, type Version, type WorkerRegisterOutcome } from '../protocol/index.ts'
import { JsonFields } from './json-fields.ts'

/** What JSON can say. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [name: string]: JsonValue }

/**
 * A frame as readable JSON, in the shape of the golden vectors: u64 as decimal strings, bytes as hex, absent optionals `null`, and the type byte
 * beside the name.
 */
export function frameToJson(frame: Frame): JsonValue {
  const typeId = frame.type === 'Unknown' ? frame.typeId : FrameType[frame.type]
  const { type, ...fields } = frame
  return { type, typeId, ...plainObject(fields) }
}

function plainObject(fields: object): { [name: string]: JsonValue } {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plain(value)]))
}

function plain(value: unknown): JsonValue {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'object' && value !== null) return plainObject(value)
  return typeof value === 'string' || typeof value === 'number' ? value : null
}

/**
 * The frame that JSON in the shape of {@link frameToJson} describes. `typeId` may be left out of known types, `flags` where they are 0, and optionals
 * where they are absent.
 *
 * @throws LiminalError `INVALID_ARGUMENT` that names the wrong field.
 */
export function frameFromJson(value: unknown): Frame {
  const fields = new JsonFields(value, 'frame')
  const frame = readFrame(fields)
  fields.end()
  return frame
}

function readFrame(fields: JsonFields): Frame {
  const type = fields.text('type')
  const head = { flags: fields.integer('flags', 8, 0), streamId: fields.integer('streamId', 32) }
  if (type === 'Unknown') {
    return { type, typeId: fields.integer('typeId', 8), ...head, payload: fields.bytes('payload') }
  }
  if (!isKnownType(type)) throw fields.wrong('type', `"Unknown" or one of ${Object.keys(FrameType).join(', ')}`)
  const typeId = fields.integer('typeId', 8, FrameType[type])
  if (typeId !== FrameType[type]) throw fields.wrong('typeId', `${FrameType[type]} for ${type}, or left out`)
  return readKnownFrame(type, head, fields)
}

function isKnownType(type: string): type is keyof typeof FrameType {
  return Object.hasOwn(FrameType, type)
}

function readKnownFrame(
  type: keyof typeof FrameType,
  head: { readonly flags: number; readonly streamId: number },
  fields: JsonFields,
): Frame {
  const text = (name: string) => fields.text(name)
  switch (type) {
    case 'Connect':
      return {
        type,
        ...head,
        minVersion: version(fields, 'minVersion'),
        maxVersion: version(fields, 'maxVersion'),
        authToken: fields.bytes('authToken'),
      }
    case 'ConnectAck': {
      const selectedVersion = version(fields, 'selectedVersion')
      return { type, ...head, selectedVersion, capabilities: fields.integer('capabilities', 32) }
    }
    case 'ConnectError':
    case 'SubscribeError':
    case 'PublishError':
      return {
        type,
        ...head,
        reasonCode: fields.integer('reasonCode', 16),
        message: fields.optional('message', text),
      }
    case 'Disconnect':
    case 'Ping':
    case 'Pong':
      return { type, ...head }
    case 'Subscribe':
      return {
        type,
        ...head,
        channel: fields.text('channel'),
        acceptedSchemas: fields.schemaIds('acceptedSchemas'),
        maxInFlight: fields.integer('maxInFlight', 32),
      }
    case 'SubscribeAck': {
      const subscriptionId = fields.u64('subscriptionId')
      return { type, ...head, subscriptionId, selectedSchema: fields.schemaId('selectedSchema') }
    }
    case 'Unsubscribe':
      return { type, ...head, subscriptionId: fields.u64('subscriptionId') }
    case 'Publish':
      return {
        type,
        ...head,
        channel: fields.text('channel'),
        envelope: envelope(fields),
        idempotencyKey: fields.optional('idempotencyKey', text),
      }
    case 'PublishAck':
      return { type, ...head, messageId: fields.u64('messageId') }
    case 'ConversationOpen':
      return { type, ...head, conversationId: fields.u64('conversationId'), subject: fields.text('subject') }
    case 'ConversationMessage':
      return { type, ...head, conversationId: fields.u64('conversationId'), envelope: envelope(fields) }
    case 'ConversationClose':
      return {
        type,
        ...head,
        conversationId: fields.u64('conversationId'),
        reasonCode: fields.optional('reasonCode', (name) => fields.integer(name, 16)),
        message: fields.optional('message', text),
      }
    case 'ConversationError':
      return {
        type,
        ...head,
        conversationId: fields.u64('conversationId'),
        reasonCode: fields.integer('reasonCode', 16),
        message: fields.optional('message', text),
      }
    case 'Accept':
      return { type, ...head, referencedMessageId: fields.text('referencedMessageId') }
    case 'Defer':
    case 'Reject': {
      const referencedMessageId = fields.text('referencedMessageId')
      return { type, ...head, referencedMessageId, reason: fields.optional('reason', text) }
    }
    case 'Push':
    case 'PushReply':
      return { type, ...head, correlationId: fields.u64('correlationId'), payload: fields.bytes('payload') }
    case 'WorkerRegister':
      return { type, ...head, registration: registration(fields.fields('registration')) }
    case 'WorkerRegisterAck':
      return { type, ...head, outcome: outcome(fields.fields('outcome')) }
    case 'Deliver':
      return { type, ...head, deliverySeq: fields.u64('deliverySeq'), envelope: envelope(fields) }
  }
}

function version(fields: JsonFields, name: string): Version {
  const inner = fields.fields(name)
  const result = { major: inner.integer('major', 16), minor: inner.integer('minor', 16) }
  inner.end()
  return result
}

function envelope(fields: JsonFields): Envelope {
  const inner = fields.fields('envelope')
  const causal = inner.fields('causal')
  const result = {
    schemaId: inner.schemaId('schemaId'),
    causal: {
      parentId: causal.optional('parentId', (name) => causal.text(name)),
      vectorClockEntry: causal.optional('vectorClockEntry', (name) => causal.u64(name)),
    },
    payload: inner.bytes('payload'),
  }
  causal.end()
  inner.end()
  return result
}

function registration(fields: JsonFields) {
  const result = {
    namespaces: fields.texts('namespaces'),
    taskQueue: fields.text('taskQueue'),
    node: fields.optional('node', (name) => fields.text(name)),
    activityTypes: fields.texts('activityTypes'),
    identity: fields.text('identity'),
    activities: fields.optional('activities', (name) =>
      fields.objects(name, (activity) => ({
        name: activity.text('name'),
        inputSchemaJson: activity.text('inputSchemaJson'),
        outputSchemaJson: activity.text('outputSchemaJson'),
      })),
    ),
  }
  fields.end()
  return result
}

function outcome(fields: JsonFields): WorkerRegisterOutcome {
  const status = fields.text('status')
  const reason = fields.optional('reason', (name) => fields.text(name))
  fields.end()
  if (status === 'Accepted' && reason === null) return { status, reason }
  if (status === 'Rejected' && reason !== null) return { status, reason }
  throw fields.wrong('status', '"Accepted" without a reason or "Rejected" with one')
}
