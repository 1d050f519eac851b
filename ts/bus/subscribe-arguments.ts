import { checkInteger, checkKnownOptions, checkOneOf, checkOptions, invalidArgument } from '../arguments.ts'
import { SCHEMA_ID_BYTES } from '../protocol/index.ts'
import { checkSignal } from '../waiting.ts'
import type { DeliveryHandler, SubscribeOptions } from './bus.ts'

/** The arguments of `Channel.subscribe`, checked, with their defaults. */
export interface SubscribeSettings<T> {
  readonly handler: DeliveryHandler<T> | null
  readonly maxInFlight: number
  readonly accept: 'auto' | 'explicit'
  /** Empty: any. */
  readonly acceptedSchemas: readonly Uint8Array[]
  readonly signal: AbortSignal | undefined
}

const ITERATOR_MAX_IN_FLIGHT = 16_384
const HANDLER_MAX_IN_FLIGHT = 65_536
/** What a Subscribe frame can say: a u32. */
const LARGEST_MAX_IN_FLIGHT = 0xffff_ffff

/** Reads the two forms of `Channel.subscribe`. @throws LiminalError `INVALID_ARGUMENT`. */
export function subscribeArguments<T>(
  first: DeliveryHandler<T> | SubscribeOptions | undefined,
  second: SubscribeOptions | undefined,
): SubscribeSettings<T> {
  const handler = typeof first === 'function' ? first : null
  const options = (typeof first === 'function' ? second : first) ?? {}
  checkOptions('options', options)
  checkKnownOptions('options', options, ['maxInFlight', 'accept', 'acceptedSchemas', 'signal'])
  checkInteger('maxInFlight', options.maxInFlight, 1)
  const fallback = handler === null ? ITERATOR_MAX_IN_FLIGHT : HANDLER_MAX_IN_FLIGHT
  const { maxInFlight = fallback, accept = 'auto', acceptedSchemas = [], signal } = options
  if (maxInFlight > LARGEST_MAX_IN_FLIGHT) {
    throw invalidArgument('maxInFlight', `at most ${LARGEST_MAX_IN_FLIGHT}`, maxInFlight)
  }
  checkOneOf('accept', accept, ['auto', 'explicit'])
  checkSignal(signal)
  const areIds =
    Array.isArray(acceptedSchemas) &&
    acceptedSchemas.every((id: unknown) => id instanceof Uint8Array && id.length === SCHEMA_ID_BYTES)
  if (!areIds)
    throw invalidArgument('acceptedSchemas', `an array of ${SCHEMA_ID_BYTES}-byte schema ids`, acceptedSchemas)
  return { handler, maxInFlight, accept, acceptedSchemas, signal }
}
