import { channel as diagnosticsChannel } from 'node:diagnostics_channel'
import { LiminalError } from '../../ts/errors.ts'
import type { Exit, PassiveProcess, ProcessSystem, TrappedExit } from '../../ts/process/index.ts'

/** Lets everything happen that this turn of the event loop still has to do; timers and sockets are not part of it. */
export async function restOfTurn(): Promise<void> {
  for (let step = 0; step < 20; step++) await null
}

/** The code of what a call throws. */
export function codeOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    return error instanceof LiminalError ? error.code : String(error)
  }
  return 'nothing thrown'
}

/** The error that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('It did not reject.')
}

/** A passive process that traps exits, and what it was told. */
export function trapper(processes: ProcessSystem): { process: PassiveProcess; told: TrappedExit[] } {
  const told: TrappedExit[] = []
  return { process: processes.spawnPassive({ onTrapped: (trapped) => told.push(trapped) }), told }
}

/** Watches a process from outside. */
export function watch(processes: ProcessSystem, target: Parameters<ProcessSystem['monitor']>[0]): Exit[] {
  const exits: Exit[] = []
  processes.monitor(target, (exit) => exits.push(exit))
  return exits
}

/** Collects what is said on a diagnostics channel while `work` runs. */
export async function said(name: string, work: () => unknown): Promise<unknown[]> {
  const messages: unknown[] = []
  const listener = (message: unknown): void => {
    messages.push(message)
  }
  const channel = diagnosticsChannel(name)
  channel.subscribe(listener)
  try {
    await work()
  } finally {
    channel.unsubscribe(listener)
  }
  return messages
}
