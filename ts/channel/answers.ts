import { Deque } from '../deque.ts'
import { LiminalError } from '../errors.ts'
import type { PublishObserver } from './run.ts'

/** What a duplicate is told of its original. */
export interface Original {
  readonly messageId: bigint
  /** `null`: nobody knows any more. */
  readonly deliveredTo: number | null
  readonly position: bigint | null
}

/** What came of a commit. */
export type CommitOutcome =
  | { readonly is: 'stored'; readonly first: bigint; readonly deliveredTo: number }
  | { readonly is: 'failed'; readonly error: LiminalError }

/** A commit that answers wait for. */
export interface Commit {
  /** `null` while it is underway. */
  outcome: CommitOutcome | null
}

/** What becomes of some messages of a publish, and who is told. */
export type Answer =
  | {
      readonly is: 'stored'
      readonly observer: PublishObserver
      readonly commit: Commit
      readonly messageId: bigint
      readonly count: number
      /** Which message of the commit is the first of these. */
      readonly offset: number
    }
  | { readonly is: 'refused'; readonly observer: PublishObserver; readonly error: LiminalError }
  | { readonly is: 'duplicate'; readonly observer: PublishObserver; readonly find: () => Promise<Original> }

/**
 * The answers of one channel, given in the order of its publishes although they become known out of it: a refusal is known at once, a message when its commit is done, a duplicate when its
 * original is found.
 */
export class Answers {
  readonly #waiting = new Deque<Answer>()
  /** The duplicate at the head looks for its original. */
  #finding = false
  readonly #onFinished: () => void

  /** @param onFinished No answer waits any more. */
  constructor(onFinished: () => void) {
    this.#onFinished = onFinished
  }

  get pending(): boolean {
    return this.#waiting.size > 0
  }

  /** Lines an answer up; one that nothing stands before is given by the next {@link tell}. */
  add(answer: Answer): void {
    this.#waiting.push(answer)
  }

  /** Gives the answers that are known, up to the first one that is not. */
  tell(): void {
    while (!this.#finding) {
      const answer = this.#waiting.at(0)
      if (answer === undefined) {
        this.#onFinished()
        return
      }
      if (answer.is === 'duplicate') {
        this.#find(answer.observer, answer.find)
        return
      }
      if (answer.is === 'stored' && answer.commit.outcome === null) return
      this.#waiting.shift()
      if (answer.is === 'refused') answer.observer.refused(answer.error)
      else if (answer.commit.outcome?.is === 'stored') {
        const { first, deliveredTo } = answer.commit.outcome
        answer.observer.accepted(answer.messageId, answer.count, deliveredTo, first + BigInt(answer.offset))
      } else if (answer.commit.outcome?.is === 'failed') {
        for (let left = answer.count; left > 0; left--) answer.observer.refused(answer.commit.outcome.error)
      }
    }
  }

  /** Asks for the original only now: all publishes before this one are settled, and the original with them. */
  #find(observer: PublishObserver, find: () => Promise<Original>): void {
    this.#finding = true
    const found = (): void => {
      this.#waiting.shift()
      this.#finding = false
    }
    find().then(
      ({ messageId, deliveredTo, position }) => {
        found()
        observer.duplicate(messageId, deliveredTo, position)
        this.tell()
      },
      (thrown: unknown) => {
        found()
        observer.refused(asError(thrown))
        this.tell()
      },
    )
  }
}

function asError(thrown: unknown): LiminalError {
  if (thrown instanceof LiminalError) return thrown
  return new LiminalError('INTERNAL', 'The original of a repeated publish could not be looked up.', { cause: thrown })
}
