import type { WorkerRegister } from '../../protocol/index.ts'
import type { SessionContext } from '../context.ts'

const NO_WORKERS =
  'This server has no workers yet: nothing would be dispatched to this registration. Answer a subject with a responder instead.'

/** WorkerRegister: refused, and told why, rather than accepted and never used. */
export function registerWorker(context: SessionContext, frame: WorkerRegister): void {
  const outcome = { status: 'Rejected', reason: NO_WORKERS } as const
  context.output.reply({ type: 'WorkerRegisterAck', flags: 0, streamId: frame.streamId, outcome })
}
