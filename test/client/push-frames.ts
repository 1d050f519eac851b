import {
  type AnswerHead,
  Capability,
  type Frame,
  HAS_HEAD,
  PUSH_CANCEL,
  readAnswerHead,
  readHead,
  WORKER_LEAVE,
  type WorkHead,
  withHead,
} from '../../ts/protocol/index.ts'
import { type FrameOf, PONG, type ScriptedPeer } from './scripted-server.ts'

/** Everything but the extension that makes workers of consequence. */
export const WITHOUT_WORK = Capability.RESPONDERS | Capability.CONFIRMATIONS

/** A push as a 1.0 server makes it, and as every server makes one that is no work. */
export function push(correlationId: bigint, payload: string | Uint8Array, flags = 0): Frame {
  return { type: 'Push', flags, streamId: 1, correlationId, payload: Buffer.from(payload) }
}

/** Work for a worker. */
export function work(correlationId: bigint, payload: string, head: Partial<WorkHead> = {}): Frame {
  const complete: WorkHead = {
    subject: 'orders',
    conversation: '7',
    attempt: 1,
    deadline: null,
    leaseMs: null,
    key: null,
    parentId: null,
    vectorClockEntry: null,
    ...head,
  }
  return push(correlationId, withHead({ work: complete }, Buffer.from(payload)), HAS_HEAD)
}

/** Nobody waits for the answer any more. */
export function cancel(correlationId: bigint): Frame {
  return push(correlationId, '', PUSH_CANCEL)
}

/** The answer to a registration. */
export function registered(reason: string | null = null): Frame {
  const outcome =
    reason === null ? ({ status: 'Accepted', reason } as const) : ({ status: 'Rejected', reason } as const)
  return { type: 'WorkerRegisterAck', flags: 0, streamId: 0, outcome }
}

/** A registration was taken back. */
export function taken(): Frame {
  return {
    type: 'WorkerRegisterAck',
    flags: WORKER_LEAVE,
    streamId: 0,
    outcome: { status: 'Accepted', reason: null },
  }
}

/** What a PushReply says. */
export interface Answer {
  readonly id: bigint
  readonly head: AnswerHead | null
  readonly text: string
}

export function answerOf({ correlationId, flags, payload }: FrameOf<'PushReply'>): Answer {
  if ((flags & HAS_HEAD) === 0) return { id: correlationId, head: null, text: Buffer.from(payload).toString() }
  const headed = readHead(payload)
  return { id: correlationId, head: readAnswerHead(headed), text: Buffer.from(headed.payload).toString() }
}

/** The next frame, which must be a PushReply. */
export async function answer(peer: ScriptedPeer): Promise<Answer> {
  return answerOf(await peer.expect('PushReply'))
}

/** Plays the server's part of a registration that it accepts, and takes the capacity where that is told. */
export async function acceptWorker(peer: ScriptedPeer, tellsCapacity = true): Promise<FrameOf<'WorkerRegister'>> {
  const frame = await peer.expect('WorkerRegister')
  peer.send(registered())
  if (!tellsCapacity) return frame
  const { head } = await answer(peer)
  if ((head?.capacity ?? 1) > 1) {
    await peer.expect('Ping')
    peer.send(PONG)
  }
  return frame
}

/** Resolves when the signal is aborted, with its reason. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason)
    else signal.addEventListener('abort', () => resolve(signal.reason), { once: true })
  })
}
