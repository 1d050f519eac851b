import { MemoryStore, type StoreWrite } from '../../ts/durability/index.ts'
import { deferred } from './fixture.ts'

/** A store that commits messages only when it is let to. */
export class GatedStore extends MemoryStore {
  #gate: { readonly promise: Promise<void>; readonly resolve: (value: undefined) => void } | null = null
  #arrived = deferred()
  /** What the next commits of messages fail with. */
  failure: Error | null = null

  /** Commits wait from now on. */
  shut(): void {
    this.#gate = deferred()
    this.#arrived = deferred()
  }

  /** Commits go on. */
  open(): void {
    this.#gate?.resolve(undefined)
    this.#gate = null
  }

  /** Resolves when a commit of messages waits. */
  get waiting(): Promise<void> {
    return this.#arrived.promise
  }

  override async write(changes: readonly StoreWrite[]): Promise<void> {
    if (changes.some((change) => change.type === 'append' && change.stream.kind === 'channel')) {
      this.#arrived.resolve()
      await this.#gate?.promise
      if (this.failure !== null) throw this.failure
    }
    await super.write(changes)
  }
}
