import { expect } from 'vitest'
import { coreOf } from '../../ts/bus/index.ts'
import type { LiminalError } from '../../ts/errors.ts'
import {
  type BusServer,
  type ServerOptions,
  WORKER_UNREGISTERED,
  type WorkerInfo,
  type WorkerPolicy,
} from '../../ts/server/index.ts'
import { diagnosed, startServer } from './fixture.ts'

/** A server that writes down what its hooks hear. */
export async function hooked(policy: WorkerPolicy = {}, options: ServerOptions = {}) {
  const heard: string[] = []
  const server = await startServer({
    ...options,
    workers: {
      ...policy,
      onRegister: (worker, signal) => {
        heard.push(`register ${worker.identity}`)
        return policy.onRegister?.(worker, signal)
      },
      onUnregister: (worker) => {
        heard.push(`unregister ${worker.identity}`)
        return policy.onUnregister?.(worker)
      },
    },
  })
  return { server, heard }
}

/** Resolves when the registration with this identity is over, the hook called. */
export function unregistered(identity: string): Promise<WorkerInfo> {
  return diagnosed<WorkerInfo>(WORKER_UNREGISTERED, (worker) => worker.identity === identity)
}

/** What a promise rejects with. */
export function failureOf(promise: Promise<unknown>): Promise<LiminalError> {
  return promise.then(
    (value) => expect.fail(`resolved with ${JSON.stringify(value)}`),
    (error: LiminalError) => error,
  )
}

/** The live conversations of a server's bus. */
export function live(server: BusServer): number {
  const core = coreOf(server.bus)
  if (core === null) throw new Error('The bus of a server has a core.')
  return core.conversations.size
}

/** So many turns of the event loop, for what nobody waits for. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}
