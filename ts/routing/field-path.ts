import { invalidArgument } from '../arguments.ts'
import { type FieldPath, parseFieldPath } from './field-path-text.ts'

/** What {@link readField} answers for a field that is not there. `null` is there. */
export const MISSING = Symbol('missing field')

/** Most segments of a path. */
export const MAX_PATH_SEGMENTS = 64

const ARRAY_INDEX = /^(?:0|[1-9][0-9]{0,9})$/

/**
 * A path from its text (`user.address.city`, `items[0].price`, `user["first.name"]`) or from its segments, which may be any strings.
 * @throws LiminalError `INVALID_ARGUMENT` for a text that is no path, no segments, or more than {@link MAX_PATH_SEGMENTS}.
 */
export function fieldPath(field: string | FieldPath): FieldPath {
  if (typeof field === 'string') return checkFieldPath('field', parseFieldPath(field))
  return Object.freeze([...checkFieldPath('field', field)])
}

/** @throws LiminalError `INVALID_ARGUMENT` unless it is a list of 1 to {@link MAX_PATH_SEGMENTS} strings. */
export function checkFieldPath(argument: string, field: unknown): FieldPath {
  const fits =
    Array.isArray(field) &&
    field.length > 0 &&
    field.length <= MAX_PATH_SEGMENTS &&
    field.every((segment) => typeof segment === 'string')
  if (!fits) throw invalidArgument(argument, `a field path of 1 to ${MAX_PATH_SEGMENTS} segments`, field)
  return field
}

/**
 * The value at a path of a JSON value, {@link MISSING} if there is none. Only what JSON has counts: own members of objects, elements of arrays by index. A member
 * that is `undefined` has no JSON form and is missing.
 */
export function readField(value: unknown, path: FieldPath): unknown {
  let current = value
  for (let at = 0; at < path.length; at++) {
    if (typeof current !== 'object' || current === null) return MISSING
    const segment = path[at]
    if (!Object.hasOwn(current, segment)) return MISSING
    // The length of an array is a member of it, but not one that JSON has.
    if (Array.isArray(current) && !ARRAY_INDEX.test(segment)) return MISSING
    current = Reflect.get(current, segment)
  }
  return current === undefined ? MISSING : current
}
