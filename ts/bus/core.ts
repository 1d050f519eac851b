import type { ChannelRegistry } from '../channel/index.ts'
import type { ConversationRegistry } from '../conversation/index.ts'
import type { Administration } from './administration.ts'
import type { Bus } from './bus.ts'

/**
 * Where a bus stands. `draining`: takes nothing new, and lets what is underway finish. `aborting`: what is left is being ended. `closed`.
 */
export type BusState = 'open' | 'draining' | 'aborting' | 'closed'

/** What a bus in this process is made of, for those who put it on the network. */
export interface BusCore {
  readonly channels: ChannelRegistry
  readonly conversations: ConversationRegistry
  readonly administration: Administration
  /** Where the bus stands: nothing new may be begun on it unless it is open. */
  readonly state: BusState
  /**
   * Registers what has to end before the bus does: `close()` calls it, and waits for it, while channels and conversations still work. A later `close()` with a shorter grace
   * calls it again. Returns what takes the registration back.
   */
  onClose(listener: CloseListener): () => void
}

/** Ends what runs on top of a bus. @param graceMs milliseconds that it has for what is underway; `undefined`: as it likes. */
export type CloseListener = (graceMs: number | undefined) => void | Promise<void>

const cores = new WeakMap<Bus, BusCore>()

/** Remembers what a bus is made of. */
export function setCore(bus: Bus, core: BusCore): void {
  cores.set(bus, core)
}

/** What a bus is made of; `null` for one that is not in this process. */
export function coreOf(bus: Bus): BusCore | null {
  return cores.get(bus) ?? null
}
