import { checkCausal, checkKnownOptions, checkOptions } from '../arguments.ts'
import { checkWait } from '../waiting.ts'
import type { PublishOptions, SendOptions, WaitOptions } from './bus.ts'

const WAIT = ['timeoutMs', 'signal']
const SEND = ['causal']
const PUBLISH = ['timeoutMs', 'signal', 'causal', 'idempotencyKey']

/** Checks the options of `publish`, but for the key. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkPublishOptions(options: PublishOptions): void {
  checkOptions('options', options)
  checkKnownOptions('options', options, PUBLISH)
  checkWait(options)
  checkCausal('causal', options.causal)
}

/** Checks the options of `send`. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkSendOptions(options: SendOptions): void {
  checkOptions('options', options)
  checkKnownOptions('options', options, SEND)
  checkCausal('causal', options.causal)
}

/** Checks the options of `ready`. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkWaitOptions(options: WaitOptions): void {
  checkOptions('options', options)
  checkKnownOptions('options', options, WAIT)
  checkWait(options)
}
