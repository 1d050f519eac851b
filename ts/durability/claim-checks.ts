import { LiminalError } from '../errors.ts'
import { CLAIM_HASH_BYTES, type ClaimRows } from './claim-rows.ts'

/** Whether there are `count` rows from `first` on. */
export function checkRows(rows: ClaimRows, first: number, count: number): void {
  if (isCount(first) && isCount(count) && first + count <= rows.capacity) return
  throw invalid(`There are ${rows.capacity} claim rows, but ${count} from row ${first} on were named.`)
}

/** Whether rows of columns can be claimed. Their offsets are checked where they are read. */
export function checkClaim(scope: Uint8Array, first: number, count: number, owner: number, rows: ClaimRows): void {
  checkRows(rows, 0, count)
  if (!isCount(first)) throw invalid(`The first row of a claim must be a whole number, but is ${first}.`)
  if (scope.length !== CLAIM_HASH_BYTES)
    throw invalid(`The scope of a claim has 16 bytes, but this one ${scope.length}.`)
  checkOwner(owner)
}

export function checkOwner(owner: number): void {
  if (Number.isSafeInteger(owner) && owner >= 0) return
  throw invalid(`The owner of a claim is a whole number up to 2^53 - 1, but this one is ${owner}.`)
}

export function checkCompletion(deliveredTo: number): void {
  if (isCount(deliveredTo)) return
  throw invalid(`deliveredTo must be a whole number, but is ${deliveredTo}.`)
}

export function checkHashes(hashes: Uint8Array, count: number): void {
  if (isCount(count) && count * CLAIM_HASH_BYTES <= hashes.length) return
  throw invalid(`${count} hashes do not lie in ${hashes.length} bytes.`)
}

/** What a claim fails with whose columns do not describe keys. */
export function noKeys(): LiminalError {
  return invalid('The columns of a claim do not describe keys of its bytes.')
}

export function closedIndex(): LiminalError {
  return new LiminalError('CLOSED', 'The index of idempotency keys is closed.')
}

/** Whether the native side takes it as a u32. */
function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** 32
}

function invalid(message: string): LiminalError {
  return new LiminalError('INVALID_ARGUMENT', message)
}
