import type { AcknowledgedForm, Endpoint, ReceiveForm, UnacknowledgedForm } from '../process/messages.ts'

/** Takes a payload that lies at `offset` in `bytes`; the bytes belong to the caller again afterwards. */
export type Take = (bytes: Uint8Array, offset: number, length: number) => void

/** What every part of a client gets. */
export interface Connecting {
  readonly endpoint: Endpoint
  /** Ends the run with an error that no call can throw. */
  readonly fail: (error: unknown) => void
}

/** Publishes without acknowledgements, in the fastest form that the client's public interface has. */
export interface Publisher {
  /** Hands a message over. False if it was not taken: wait for {@link room} and repeat it. */
  publish(payload: Buffer): boolean
  /** Called once after every burst: sends what waits in the client. A promise where more must wait, null where it may come in the next turn. */
  room(): Promise<void> | null
}

/** Publishes with acknowledgements. They are counted; every system here gives them in publish order. */
export interface AcknowledgedPublisher {
  publish(payload: Buffer): void
  /** Called after every burst, by systems whose client leaves the moment of sending to its user. */
  flush?(): void
}

export interface Asker {
  /** Calls `replied` with the reply to this very request. */
  ask(payload: Buffer, replied: Take): void
}

/** What a system's client can do. What is absent the system does not offer, and no workload asks it for that. */
export interface Client {
  /** @param form whether each message has an idempotency key of its own. */
  publisher?(connecting: Connecting, subscribers: number, form: UnacknowledgedForm): Promise<Publisher>
  /**
   * @param acknowledged called with how many more messages were acknowledged.
   * @param form whether an acknowledgement must mean that the message is stored.
   */
  acknowledgedPublisher?(
    connecting: Connecting,
    acknowledged: (count: number) => void,
    form: AcknowledgedForm,
    subscribers: number,
  ): Promise<AcknowledgedPublisher>
  /** Subscribes on a connection of its own. Resolves once messages published from now on will come. */
  subscribe?(connecting: Connecting, take: Take, form: ReceiveForm, index: number): Promise<void>
  asker?(connecting: Connecting): Promise<Asker>
  /** Answers every request with its own payload; `take` sees each request first. Resolves once requests can come. */
  responder?(connecting: Connecting, take: Take): Promise<void>
  /** Reads everything that is stored, from the first message on, until `done` says that it is enough. */
  read?(connecting: Connecting, take: Take, done: () => boolean): Promise<void>
}

/** The channel, subject, topic, queue or stream of every workload. */
export const CHANNEL = 'bench'

/** Where requests go. */
export const REQUESTS = 'bench.requests'

/** Where replies go, with systems that have no replies of their own. */
export const REPLIES = 'bench.replies'

/** Loads the client of a name that `systems/` gave out. */
export async function loadClient(name: string): Promise<Client> {
  const module: { readonly client: Client } = await import(`./${name}.js`)
  return module.client
}
