import { LiminalError } from '../errors.ts'
import type { PayloadKind } from '../payload.ts'
import { encodeValue } from '../payload-text.ts'
import { isHandedBack } from '../routing/index.ts'
import { isThenable } from '../thenable.ts'
import { textOf } from '../thrown.ts'
import type { InboundPush } from './inbound-push.ts'

/**
 * Calls who does the work and answers the push with what becomes of it. What is thrown stays here.
 *
 * @param who The subject of an error's sentence.
 */
export function settlePush(push: InboundPush, who: string, kind: PayloadKind, call: () => unknown): void {
  const failed = (cause: unknown): void => {
    if (isHandedBack(cause)) push.handBack(textOf(cause))
    else push.fail(failure(who, cause))
  }
  const done = (value: unknown): void => {
    try {
      push.reply(encodeValue(value === undefined && kind === 'json' ? null : value, kind))
    } catch (cause) {
      failed(cause)
    }
  }
  let result: unknown
  let later: Promise<unknown> | null
  try {
    result = call()
    // Also to ask whether it is a promise may run code of who does the work.
    later = isThenable(result) ? Promise.resolve(result) : null
  } catch (cause) {
    queueMicrotask(() => failed(cause))
    return
  }
  // Who answers at once needs no promise. The answer still comes after what else this turn has brought, as everybody's does.
  if (later !== null) later.then(done, failed)
  else queueMicrotask(() => done(result))
}

function failure(who: string, cause: unknown): LiminalError {
  return new LiminalError('RESPONDER_FAILED', `${who} failed: ${textOf(cause)}`, { cause })
}
