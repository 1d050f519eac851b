import { checkFunction, invalidArgument } from '../arguments.ts'
import type { Pid } from './exit.ts'
import type { Kernel } from './kernel.ts'
import type { ProcessRef } from './process.ts'
import { ProcessRecord } from './record.ts'

/** What a caller names a process with, checked. @throws LiminalError `INVALID_ARGUMENT` for anything but a process of this system or a pid. */
export function recordOf(kernel: Kernel, ref: ProcessRef): ProcessRecord | Pid {
  if (typeof ref === 'number') {
    if (Number.isSafeInteger(ref) && ref > 0) return ref
  } else if (ref instanceof ProcessRecord && ref.kernel === kernel) {
    return ref
  }
  throw invalidArgument('The process', 'a process of this system or its pid, an integer from 1', ref)
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it is a function. */
export function checkObserver(observer: unknown): void {
  checkFunction('observer', observer)
}
