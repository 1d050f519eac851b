import type {
  Activity,
  Frame,
  WorkerRegister,
  WorkerRegisterAck,
  WorkerRegisterOutcome,
  WorkerRegistration,
} from '../../protocol/index.ts'
import { FrameType } from '../../protocol/index.ts'
import { codecError } from '../failure.ts'
import { measureOptionalText, measureText, measureTexts } from '../measure.ts'
import type { Reader } from '../reader.ts'
import type { Writer } from '../writer.ts'

/** WorkerRegister and WorkerRegisterAck (spec wire §4, 0x17 and 0x18). */
export type WorkerFrame = WorkerRegister | WorkerRegisterAck

const ACCEPTED = 0
const REJECTED = 1

/** Payload bytes; checks the values. */
export function measureWorker(frame: WorkerFrame): number {
  return frame.type === 'WorkerRegister' ? measureRegistration(frame.registration) : measureOutcome(frame.outcome)
}

/** Writes a measured payload. */
export function writeWorker(writer: Writer, frame: WorkerFrame): void {
  if (frame.type === 'WorkerRegister') {
    writeRegistration(writer, frame.registration)
  } else if (frame.outcome.status === 'Accepted') {
    writer.u8(ACCEPTED)
  } else {
    writer.u8(REJECTED)
    writer.text(frame.outcome.reason)
  }
}

/** Reads the payload of a type of this family; null for any other type. */
export function readWorker(reader: Reader, typeId: number, flags: number, streamId: number): Frame | null {
  switch (typeId) {
    case FrameType.WorkerRegister:
      return { type: 'WorkerRegister', flags, streamId, registration: readRegistration(reader) }
    case FrameType.WorkerRegisterAck:
      return { type: 'WorkerRegisterAck', flags, streamId, outcome: readOutcome(reader) }
    default:
      return null
  }
}

function measureRegistration(registration: WorkerRegistration): number {
  const type = 'WorkerRegister'
  let length =
    measureTexts(type, 'registration.namespaces', registration.namespaces) +
    measureText(type, 'registration.taskQueue', registration.taskQueue) +
    measureOptionalText(type, 'registration.node', registration.node) +
    measureTexts(type, 'registration.activityTypes', registration.activityTypes) +
    measureText(type, 'registration.identity', registration.identity)
  if (registration.activities === null) return length
  length += 4
  for (const { name, inputSchemaJson, outputSchemaJson } of registration.activities) {
    length +=
      measureText(type, 'registration.activities.name', name) +
      measureText(type, 'registration.activities.inputSchemaJson', inputSchemaJson) +
      measureText(type, 'registration.activities.outputSchemaJson', outputSchemaJson)
  }
  return length
}

function writeRegistration(writer: Writer, registration: WorkerRegistration): void {
  writer.texts(registration.namespaces)
  writer.text(registration.taskQueue)
  writer.optionalText(registration.node)
  writer.texts(registration.activityTypes)
  writer.text(registration.identity)
  if (registration.activities === null) return
  writer.u32(registration.activities.length)
  for (const { name, inputSchemaJson, outputSchemaJson } of registration.activities) {
    writer.text(name)
    writer.text(inputSchemaJson)
    writer.text(outputSchemaJson)
  }
}

function readRegistration(reader: Reader): WorkerRegistration {
  const namespaces = reader.texts('registration.namespaces')
  const taskQueue = reader.text('registration.taskQueue')
  const node = reader.optionalText('registration.node')
  const activityTypes = reader.texts('registration.activityTypes')
  const identity = reader.text('registration.identity')
  // A 0.2.1 worker ends here; whatever follows must be a complete census (spec wire §1, §5).
  const activities = reader.position === reader.end ? null : readActivities(reader)
  return { namespaces, taskQueue, node, activityTypes, identity, activities }
}

function readActivities(reader: Reader): Activity[] {
  const activities: Activity[] = []
  for (let left = reader.count('registration.activities', 12); left > 0; left--) {
    activities.push({
      name: reader.text('registration.activities.name'),
      inputSchemaJson: reader.text('registration.activities.inputSchemaJson'),
      outputSchemaJson: reader.text('registration.activities.outputSchemaJson'),
    })
  }
  return activities
}

function measureOutcome(outcome: WorkerRegisterOutcome): number {
  if (outcome.status === 'Rejected') return 1 + measureText('WorkerRegisterAck', 'outcome.reason', outcome.reason)
  if (outcome.reason !== null) throw codecError('WorkerRegisterAck.outcome.reason: an accepted registration has none')
  return 1
}

function readOutcome(reader: Reader): WorkerRegisterOutcome {
  const status = reader.u8('outcome.status')
  if (status === ACCEPTED) return { status: 'Accepted', reason: null }
  if (status === REJECTED) return { status: 'Rejected', reason: reader.text('outcome.reason') }
  throw reader.fail('outcome.status', reader.position - 1, `the status byte is ${status}, not 0 or 1`)
}
