import type { PayloadKind } from '../payload.ts'
import type { ClientCore } from './client-core.ts'
import { PublishLane } from './publish-lane.ts'
import { RemoteChannel } from './remote-channel.ts'
import { SendLane } from './send-lane.ts'

interface SharedLane {
  readonly lane: PublishLane
  handles: number
}

interface Dropped {
  readonly name: string
  readonly shared: SharedLane
  readonly sends: SendLane
}

/**
 * The channel handles of one bus. Those of one channel share the stream of acknowledged publishes; `send` is counted for each handle, so it has a stream for
 * each handle that uses it. What a handle has on the connection is given back when the handle is collected: a program may ask for a new one for every message.
 */
export class ChannelHandles {
  readonly #core: ClientCore
  readonly #lanes = new Map<string, SharedLane>()
  readonly #dropped = new FinalizationRegistry<Dropped>((dropped) => this.#drop(dropped))

  constructor(core: ClientCore) {
    this.#core = core
  }

  make(name: string, payload: PayloadKind): RemoteChannel {
    let shared = this.#lanes.get(name)
    if (shared === undefined) {
      shared = { lane: new PublishLane(this.#core, name), handles: 0 }
      this.#lanes.set(name, shared)
    }
    shared.handles++
    const sends = new SendLane(this.#core, name)
    const handle = new RemoteChannel(this.#core, name, payload, shared.lane, sends)
    this.#dropped.register(handle, { name, shared, sends })
    return handle
  }

  #drop({ name, shared, sends }: Dropped): void {
    sends.abandon()
    shared.handles--
    if (shared.handles > 0) return
    this.#lanes.delete(name)
    shared.lane.abandon()
  }
}
