import { checkCausal, checkKnownOptions, checkOptions, checkText, invalidArgument } from '../arguments.ts'
import { checkWait } from '../waiting.ts'
import type { PublishOptions, SendOptions, WaitOptions } from './bus.ts'

const WAIT = ['timeoutMs', 'signal']
const SEND = ['causal', 'idempotencyKey']
const PUBLISH = ['timeoutMs', 'signal', 'causal', 'idempotencyKey']

/** Checks the options of `publish`. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkPublishOptions(options: PublishOptions): void {
  checkOptions('options', options)
  checkKnownOptions('options', options, PUBLISH)
  checkWait(options)
  checkCausal('causal', options.causal)
  checkKey(options.idempotencyKey)
}

/** Checks the options of `send`. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkSendOptions(options: SendOptions): void {
  checkOptions('options', options)
  checkKnownOptions('options', options, SEND)
  checkCausal('causal', options.causal)
  checkKey(options.idempotencyKey)
}

/** Checks the options of `ready`. @throws LiminalError `INVALID_ARGUMENT`. */
export function checkWaitOptions(options: WaitOptions): void {
  checkOptions('options', options)
  checkKnownOptions('options', options, WAIT)
  checkWait(options)
}

function checkKey(key: unknown): void {
  if (key === undefined) return
  checkText('idempotencyKey', key)
  if (key === '') throw invalidArgument('idempotencyKey', 'at least one character', key)
}
