import { checkName, checkOneOf, checkOptions, invalidArgument } from '../arguments.ts'
import { compilePredicate } from './compile.ts'
import { fieldPath, readField } from './field-path.ts'
import type { FieldPath } from './field-path-text.ts'
import type { Predicate } from './predicate.ts'
import { formatPredicate, parsePredicate } from './predicate-text.ts'
import { type Choice, RoutingError, type RoutingFunction, type RoutingRequest } from './routing-function.ts'
import { functionHash } from './source-hash.ts'

/** The routing functions that come with the bus. They keep no state of their own: turns and loads are the group's, so a deploy goes on where the one before left off. */

type Choose = (request: RoutingRequest, self: RoutingFunction) => Choice | Promise<Choice>

function builtIn(name: string, choose: Choose, ...also: readonly string[]): RoutingFunction {
  const self: RoutingFunction = {
    name,
    hash: functionHash('choose', choose, name, ...also),
    choose: (request) => choose(request, self),
  }
  return Object.freeze(self)
}

function id(consumer: { readonly id: string } | null): Choice {
  return consumer === null ? null : consumer.id
}

/** Consumers take turns; full ones are passed over. */
export function roundRobin(): RoutingFunction {
  return builtIn('round-robin', ({ consumers }) => id(consumers.next()))
}

/** The consumer that uses the smallest share of its capacity; among equals the one whose turn it is. */
export function leastLoaded(): RoutingFunction {
  return builtIn('least-loaded', ({ consumers }) => id(consumers.leastLoaded()))
}

/** How {@link affinity} finds the key and what it does when the key's consumer is full. */
export interface AffinityOptions {
  /** The field of the message whose value is the key, if the dispatch has none: a string, a number or a boolean. Default: only the dispatch's key counts. */
  readonly field?: string | FieldPath | undefined
  /** `wait`: the message waits for its own consumer. `next`: it goes to the next one in the key's own order that has room. Default: `wait`. */
  readonly whenFull?: 'wait' | 'next' | undefined
}

/**
 * The same key goes to the same consumer while that is in the group; when it goes, only its own keys move (rendezvous hashing). Messages without a key take turns.
 * @throws LiminalError `INVALID_ARGUMENT`.
 */
export function affinity(options: AffinityOptions = {}): RoutingFunction {
  checkOptions('options', options)
  const { field, whenFull = 'wait' } = options
  checkOneOf('options.whenFull', whenFull, ['wait', 'next'])
  const path = field === undefined ? null : fieldPath(field)
  const choose: Choose = ({ message, key, consumers }) => {
    const found = key ?? (path === null ? null : keyOf(readField(message, path)))
    return id(found === null ? consumers.next() : consumers.forKey(found, whenFull === 'next'))
  }
  return builtIn('affinity', choose, JSON.stringify({ path, whenFull }))
}

function keyOf(value: unknown): string | null {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : null
}

/** Where messages go that a predicate holds for. */
export interface PredicateRule {
  /** The predicate, or its text. */
  readonly when: Predicate | string
  /** Only consumers that have this tag. Default: all. */
  readonly tag?: string | undefined
  /** Chooses among them. Default: they take turns. */
  readonly by?: RoutingFunction | undefined
}

/**
 * The first rule whose predicate holds for the message says where it goes.
 * @param otherwise chooses for messages that no rule holds for. Default: their dispatches fail with `ROUTING_FAILED`.
 * @throws LiminalError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED` for predicates that cannot be used.
 */
export function byPredicate(rules: readonly PredicateRule[], otherwise?: RoutingFunction): RoutingFunction {
  if (!Array.isArray(rules)) throw invalidArgument('rules', 'a list of rules', rules)
  const compiled = rules.map(({ when, tag, by = roundRobin() }, at) => {
    if (tag !== undefined) checkName(`rules[${at}].tag`, tag)
    const predicate = typeof when === 'string' ? parsePredicate(when) : when
    return { test: compilePredicate(predicate), text: formatPredicate(predicate), tag, by }
  })
  const choose: Choose = (request, self) => {
    for (const { test, tag, by } of compiled) {
      if (!test(request.message)) continue
      if (tag === undefined) return by.choose(request)
      const { message, key, attempt, consumers } = request
      return by.choose({ message, key, attempt, consumers: consumers.withTag(tag) })
    }
    if (otherwise !== undefined) return otherwise.choose(request)
    throw new RoutingError(
      'crashed',
      self,
      'has no rule for this message. Give it an `otherwise`, or a rule that is true.',
    )
  }
  const inner = [...compiled.map(({ by }) => by), ...(otherwise === undefined ? [] : [otherwise])]
  const texts = compiled.map(({ text, tag, by }) => ({ text, tag, by: by.hash }))
  return holding(builtIn('predicate', choose, JSON.stringify([texts, otherwise?.hash])), inner)
}

/** The same function, which holds what it calls for as long as it is held itself. */
function holding(routing: RoutingFunction, inner: readonly RoutingFunction[]): RoutingFunction {
  const hold = (): (() => void) => {
    const releases = inner.map((one) => one.hold?.())
    return () => {
      for (const release of releases) release?.()
    }
  }
  return Object.freeze({ ...routing, hold })
}
