import {
  actionOf,
  type CrashPolicy,
  compensated,
  DEFAULT_PART_TIMEOUT_MS,
  Parts,
  type StreamOptions,
} from '../bus/index.ts'
import { encodePayload, ownBytes } from '../payload.ts'
import { toLiminalError } from '../thrown.ts'
import type { ClientCore } from './client-core.ts'
import type { ConversationLink } from './conversation-link.ts'
import { PartRequest } from './part-request.ts'

/** A reply in parts, for a loop. @param link the conversation; `null`: one of its own. @throws LiminalError `PAYLOAD_INVALID`. */
export function streamParts<Part>(
  core: ClientCore,
  subject: string,
  request: unknown,
  options: StreamOptions,
  policy: CrashPolicy | undefined,
  link: ConversationLink | null,
): Parts<Part> {
  const { payload: kind = 'json', timeoutMs = DEFAULT_PART_TIMEOUT_MS, signal, causal } = options
  // The loop may begin much later, when the caller has changed what it passed.
  const payload = ownBytes(encodePayload(request, kind))
  const reroutes = link === null && actionOf(policy) === 'route-to-next'
  return new Parts<Part>({
    what: `The request to '${subject}'`,
    payload: kind,
    timeoutMs,
    signal,
    begin: (sink) => {
      // Read first: it throws once the conversation is over.
      void link?.connection
      const parts = new PartRequest(core, { subject, payload, causal, reroutes }, link, sink)
      try {
        core.submit(parts)
      } catch (thrown) {
        parts.abandon(toLiminalError(thrown))
        throw thrown
      }
      return parts
    },
    failed: (error) => compensated(policy, subject, request, error, core.ending),
  })
}
