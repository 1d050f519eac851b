import { Deferred } from '../deferred.ts'
import type { RoutingFunction } from './routing-function.ts'

/** One deployed routing function, and how many calls of it run. */
export interface RoutingVersion {
  readonly routing: RoutingFunction
}

class Version implements RoutingVersion {
  readonly routing: RoutingFunction
  readonly retired = new Deferred<void>()
  calls = 0
  isReplaced = false
  readonly #release: (() => void) | undefined

  constructor(routing: RoutingFunction) {
    this.routing = routing
    this.#release = routing.hold?.()
  }

  retireIfIdle(): void {
    if (!this.isReplaced || this.calls > 0) return
    this.#release?.()
    this.retired.resolve()
  }
}

/**
 * The place of a group's routing function (spec routing §5.4), which can be replaced while messages flow: a call that began on the old one finishes on it, the next
 * call gets the new one, and the old one is let go of once its last call is over.
 */
export class RoutingSlot {
  #current: Version
  readonly #versions = new Set<Version>()

  constructor(routing: RoutingFunction) {
    this.#current = this.#install(routing)
  }

  /** What the next call gets. */
  get current(): RoutingFunction {
    return this.#current.routing
  }

  /** How many versions are held: the current one, and old ones with calls that still run. */
  get versions(): number {
    return this.#versions.size
  }

  /** Takes effect at once. Resolves when the one before was let go of. @throws what holding the new one throws; the old one stays then. */
  deploy(routing: RoutingFunction): Promise<void> {
    const before = this.#current
    this.#current = this.#install(routing)
    return this.#retire(before)
  }

  /** Begins a call on the current version, which must be handed to {@link leave} when it is over. */
  enter(): RoutingVersion {
    this.#current.calls++
    return this.#current
  }

  /** Ends a call. */
  leave(version: RoutingVersion): void {
    if (!(version instanceof Version)) return
    version.calls--
    this.#settle(version)
  }

  /** Lets go of the current version too, when its last call is over. Nothing is deployed or called afterwards. */
  close(): Promise<void> {
    return this.#retire(this.#current)
  }

  #install(routing: RoutingFunction): Version {
    const version = new Version(routing)
    this.#versions.add(version)
    return version
  }

  #retire(version: Version): Promise<void> {
    version.isReplaced = true
    this.#settle(version)
    return version.retired.promise
  }

  #settle(version: Version): void {
    version.retireIfIdle()
    if (version.isReplaced && version.calls === 0) this.#versions.delete(version)
  }
}
