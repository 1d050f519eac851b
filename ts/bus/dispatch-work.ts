import type { ConversationRegistry, Work } from '../conversation/index.ts'
import type { ConsumerGroupOptions, DispatchOptions, DispatchOutcome } from '../routing/index.ts'

/** How the consumer group of a subject is made. */
export type GroupOptions = Omit<ConsumerGroupOptions, 'view'>

/** Dispatches a message to the group of a subject, which is forgotten afterwards if nobody needs it. @throws DispatchError, LiminalError like `ConsumerGroup.dispatch`. */
export async function dispatchWork(
  conversations: ConversationRegistry,
  subject: string,
  work: Work,
  options: DispatchOptions,
): Promise<DispatchOutcome<Uint8Array>> {
  try {
    return await conversations.groupFor(subject).dispatch(work, options)
  } finally {
    conversations.dispatched(subject)
  }
}
