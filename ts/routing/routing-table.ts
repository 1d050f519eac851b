import { checkName } from '../arguments.ts'
import { type CompiledPredicate, compilePredicate } from './compile.ts'
import { MISSING, readField } from './field-path.ts'
import type { FieldPath } from './field-path-text.ts'
import { Link, LinkedList } from './linked-list.ts'
import type { Literal, Predicate } from './predicate.ts'
import { parsePredicate } from './predicate-text.ts'

/** An entry of a {@link RoutingTable}. */
export interface RouteEntry<Target> {
  readonly channel: string
  readonly target: Target
  /** Takes this very entry out; others of the same target stay. Idempotent. O(1). */
  remove(): void
}

interface Route<Target> {
  readonly target: Target
  readonly test: CompiledPredicate
  /** Grows with each registration. */
  readonly order: number
}

/** A field that entries demand a value of, and the entries by that value. */
interface FieldIndex<Target> {
  readonly path: FieldPath
  readonly byValue: Map<unknown, LinkedList<Route<Target>>>
}

interface ChannelRoutes<Target> {
  /** Entries that demand no value of a field. */
  readonly others: LinkedList<Route<Target>>
  readonly indexes: Map<string, FieldIndex<Target>>
  size: number
}

/**
 * For each channel the targets that want some of its messages, by predicate (spec routing §4). Adding and removing cost O(1). An entry whose predicate demands that a field has
 * a value, alone or within an `and`, is looked at only for messages that have it.
 */
export class RoutingTable<Target> {
  readonly #channels = new Map<string, ChannelRoutes<Target>>()
  #order = 0

  /** How many entries a channel has. */
  size(channel: string): number {
    return this.#channels.get(channel)?.size ?? 0
  }

  /** Whether no channel has an entry. */
  get isEmpty(): boolean {
    return this.#channels.size === 0
  }

  /**
   * Adds an entry. The same target may have several.
   * @param when the predicate, or its text.
   * @throws LiminalError `INVALID_ARGUMENT`, `LIMIT_EXCEEDED` for a predicate that cannot be used.
   */
  add(channel: string, when: Predicate | string, target: Target): RouteEntry<Target> {
    checkName('channel', channel)
    const predicate = typeof when === 'string' ? parsePredicate(when) : when
    const link = new Link<Route<Target>>({ target, test: compilePredicate(predicate), order: ++this.#order })
    const routes = this.#channel(channel)
    const demand = demandOf(predicate)
    const index = demand === null ? null : this.#index(routes, demand.path)
    const list = index === null || demand === null ? routes.others : listOf(index, demand.value)
    list.append(link)
    routes.size++
    return Object.freeze({
      channel,
      target,
      remove: () => {
        if (link.list === null) return
        list.remove(link)
        routes.size--
        if (index !== null && demand !== null && list.size === 0) {
          index.byValue.delete(demand.value)
          if (index.byValue.size === 0) routes.indexes.delete(keyOf(index.path))
        }
        if (routes.size === 0) this.#channels.delete(channel)
      },
    })
  }

  /** The targets whose predicates hold for a message, in the order in which they were added, one for each entry; none for an unknown channel. */
  resolve(channel: string, message: unknown): Target[] {
    const routes = this.#channels.get(channel)
    if (routes === undefined) return []
    const found: Route<Target>[] = []
    collect(routes.others, message, found)
    for (const { path, byValue } of routes.indexes.values()) {
      const value = readField(message, path)
      const list = value === MISSING ? undefined : byValue.get(value)
      if (list !== undefined) collect(list, message, found)
    }
    // Each list is in order already; several together are not.
    if (routes.indexes.size > 0) found.sort((one, other) => one.order - other.order)
    return found.map(({ target }) => target)
  }

  #channel(channel: string): ChannelRoutes<Target> {
    let routes = this.#channels.get(channel)
    if (routes === undefined) {
      routes = { others: new LinkedList(), indexes: new Map(), size: 0 }
      this.#channels.set(channel, routes)
    }
    return routes
  }

  #index(routes: ChannelRoutes<Target>, path: FieldPath): FieldIndex<Target> {
    const key = keyOf(path)
    let index = routes.indexes.get(key)
    if (index === undefined) {
      index = { path, byValue: new Map() }
      routes.indexes.set(key, index)
    }
    return index
  }
}

function collect<Target>(list: LinkedList<Route<Target>>, message: unknown, found: Route<Target>[]): void {
  for (let link = list.first; link !== null; link = link.next) if (link.value.test(message)) found.push(link.value)
}

function listOf<Target>(index: FieldIndex<Target>, value: Literal): LinkedList<Route<Target>> {
  let list = index.byValue.get(value)
  if (list === undefined) {
    list = new LinkedList()
    index.byValue.set(value, list)
  }
  return list
}

function keyOf(path: FieldPath): string {
  return JSON.stringify(path)
}

/** A value that a field must have for the predicate to hold, `null` if there is no such field. */
function demandOf(predicate: Predicate): { readonly path: FieldPath; readonly value: Literal } | null {
  if (predicate.kind === 'comparison' && predicate.operator === 'eq') {
    return { path: predicate.field, value: predicate.value }
  }
  if (predicate.kind !== 'and') return null
  for (const clause of predicate.clauses) {
    const demand = demandOf(clause)
    if (demand !== null) return demand
  }
  return null
}
