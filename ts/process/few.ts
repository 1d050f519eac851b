/**
 * A set that is mostly empty or holds one object: then it costs nothing beyond its reference. Insertion order is kept. A `Set` holds from two on, so that a
 * process with 100,000 links loses each in constant time.
 */
export type Few<Item extends object> = Item | Set<Item> | null

/** The set with `item`. */
export function withItem<Item extends object>(few: Few<Item>, item: Item): Few<Item> {
  if (few === null || few === item) return item
  if (few instanceof Set) return few.add(item)
  return new Set([few, item])
}

/** The set without `item`. */
export function withoutItem<Item extends object>(few: Few<Item>, item: Item): Few<Item> {
  if (few === item) return null
  if (!(few instanceof Set)) return few
  few.delete(item)
  return few.size === 0 ? null : few
}

export function countOf<Item extends object>(few: Few<Item>): number {
  if (few === null) return 0
  return few instanceof Set ? few.size : 1
}

/** Its items in the order in which they came. */
export function itemsOf<Item extends object>(few: Few<Item>): Iterable<Item> {
  if (few === null) return []
  return few instanceof Set ? few : [few]
}
