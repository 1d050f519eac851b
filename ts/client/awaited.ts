import { type CrashPolicy, compensated } from '../bus/index.ts'
import type { LiminalError } from '../errors.ts'
import { toLiminalError } from '../thrown.ts'
import { type WaitLimits, waitFor } from '../waiting.ts'
import type { ClientCore } from './client-core.ts'

/** What a caller of a remote bus waits for, and can give up. */
export interface Abandonable {
  /** Nobody waits for it any more. */
  abandon(error: LiminalError): void
}

/** A request whose caller waits for its reply. */
export interface AwaitedRequest {
  readonly subject: string
  readonly value: unknown
  /** What happens if the participant crashes. */
  readonly policy: CrashPolicy | undefined
  readonly limits: WaitLimits & { readonly what: string }
}

/**
 * The reply to a request, within the caller's limits. A request that fails, or that its caller gives up, is compensated for as its policy says.
 *
 * @param begin makes the request and sends it, and settles what it is given.
 * @throws LiminalError what `begin` throws and the request fails with; `TIMEOUT`, `ABORTED`.
 */
export async function awaitReply(
  core: ClientCore,
  { subject, value, policy, limits }: AwaitedRequest,
  begin: (resolve: (reply: unknown) => void, reject: (error: LiminalError) => void) => Abandonable,
): Promise<unknown> {
  let request: Abandonable | undefined
  const reply = new Promise<unknown>((resolve, reject) => {
    request = begin(resolve, reject)
  })
  try {
    return await waitFor(reply, limits)
  } catch (thrown) {
    const error = toLiminalError(thrown)
    request?.abandon(error)
    throw await compensated(policy, subject, value, error, core.ending)
  }
}

/** Resolves once a conversation is open. One that its caller gives up is abandoned. @throws LiminalError what it fails with; `TIMEOUT`, `ABORTED`. */
export async function awaitOpened(
  link: Abandonable & { readonly opened: { readonly promise: Promise<unknown> } },
  limits: WaitLimits & { readonly what: string },
): Promise<void> {
  try {
    await waitFor(link.opened.promise, limits)
  } catch (thrown) {
    const error = toLiminalError(thrown)
    link.abandon(error)
    throw error
  }
}
