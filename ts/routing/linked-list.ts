/** A place in at most one {@link LinkedList}. Its value keeps it, so that it can be taken out without being looked for. */
export class Link<Value> {
  readonly value: Value
  list: LinkedList<Value> | null = null
  previous: Link<Value> | null = null
  next: Link<Value> | null = null

  constructor(value: Value) {
    this.value = value
  }
}

/** Links in a row: added at the end and taken out anywhere, both at constant cost. Its cap is its owner's. */
export class LinkedList<Value> {
  #first: Link<Value> | null = null
  #last: Link<Value> | null = null
  #size = 0

  get size(): number {
    return this.#size
  }

  get first(): Link<Value> | null {
    return this.#first
  }

  /** Adds a link that is in no list. */
  append(link: Link<Value>): void {
    link.list = this
    link.previous = this.#last
    if (this.#last === null) this.#first = link
    else this.#last.next = link
    this.#last = link
    this.#size++
  }

  /** Takes a link of this list out. */
  remove(link: Link<Value>): void {
    if (link.list !== this) return
    if (link.previous === null) this.#first = link.next
    else link.previous.next = link.next
    if (link.next === null) this.#last = link.previous
    else link.next.previous = link.previous
    link.list = null
    link.previous = null
    link.next = null
    this.#size--
  }

  /** The values, first to last, as they are now. */
  values(): Value[] {
    const values: Value[] = []
    for (let link = this.#first; link !== null; link = link.next) values.push(link.value)
    return values
  }

  /** Takes the first link out and returns its value. */
  shift(): Value | undefined {
    const link = this.#first
    if (link === null) return undefined
    this.remove(link)
    return link.value
  }
}
