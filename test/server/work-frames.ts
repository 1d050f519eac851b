import type { Frame, PushReply, WorkerRegistration, WorkHead } from '../../ts/protocol/index.ts'
import { type AnswerHead, HAS_HEAD, readHead, readWorkHead, WORKER_LEAVE, withHead } from '../../ts/protocol/index.ts'
import type { RawPeer } from './raw-peer.ts'

/** A registration of a worker of the task queue 'work', unless told otherwise. */
export function registration(fields: Partial<WorkerRegistration> = {}): WorkerRegistration {
  return {
    namespaces: [],
    taskQueue: 'work',
    node: null,
    activityTypes: [],
    identity: 'one',
    activities: null,
    ...fields,
  }
}

export function registerFrame(fields: Partial<WorkerRegistration> = {}, flags = 0): Frame {
  return { type: 'WorkerRegister', flags, streamId: 0, registration: registration(fields) }
}

/** Takes the registration back. */
export function leaveFrame(fields: Partial<WorkerRegistration> = {}): Frame {
  return registerFrame(fields, WORKER_LEAVE)
}

/** Registers a worker, which the server accepts. */
export async function registered(peer: RawPeer, fields: Partial<WorkerRegistration> = {}): Promise<void> {
  peer.send(registerFrame(fields))
  const { flags, outcome } = await peer.expect('WorkerRegisterAck')
  if (flags !== 0 || outcome.status !== 'Accepted') throw new Error(`Not accepted: ${String(outcome.reason)}`)
}

/** Says how many messages the worker takes at once, and waits until the server knows. */
export async function announced(peer: RawPeer, capacity: number): Promise<void> {
  peer.send(answerFrame(0n, { capacity }))
  await peer.rest()
}

/** A bare answer. */
export function replyFrame(correlationId: bigint, payload: string | Uint8Array, flags = 0): PushReply {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
  return { type: 'PushReply', flags, streamId: 1, correlationId, payload: bytes }
}

/** An answer with a head. */
export function answerFrame(correlationId: bigint, head: AnswerHead, payload = ''): PushReply {
  return replyFrame(correlationId, withHead(head, Buffer.from(payload)), HAS_HEAD)
}

export interface Pushed {
  readonly id: bigint
  readonly flags: number
  readonly streamId: number
  readonly work: WorkHead | null
  readonly text: string
}

/** The next frame, which must be a push. */
export async function pushed(peer: RawPeer): Promise<Pushed> {
  const { correlationId: id, flags, streamId, payload } = await peer.expect('Push')
  if ((flags & HAS_HEAD) === 0) return { id, flags, streamId, work: null, text: Buffer.from(payload).toString() }
  const headed = readHead(payload)
  return { id, flags, streamId, work: readWorkHead(headed), text: Buffer.from(headed.payload).toString() }
}
