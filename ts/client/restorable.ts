import type { LiminalError } from '../errors.ts'
import type { Connection } from './connection.ts'

/** What is set up again on every new connection. */
export interface Restorable {
  /** The channel of a subscription, `null` for anything else. */
  readonly channel: string | null
  /** Whether a subscription went on where it was when it was last set up, so that nothing is missing. */
  readonly resumed?: boolean
  /** Sets it up on a new connection. Resolves with whether that worked; never rejects. */
  attach(connection: Connection): Promise<boolean>
  /** The bus says goodbye to the server that it is set up on: nothing new may come from there. */
  leave?(): void
  /** The bus is closed. */
  end(error: LiminalError): void
}
