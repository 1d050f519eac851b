import { LiminalError } from '../../errors.ts'
import { FORMAT_VERSION } from './layout.ts'

/** Makes a store file of one format one of the next. It must leave the file as it was, or as it is wanted, whenever the process ends. */
export interface Migration {
  readonly from: number
  readonly to: number
  readonly run: (dataFile: string) => Promise<void>
}

/** All there are, in order. There is one format so far. */
export const CURRENT_MIGRATIONS: readonly Migration[] = []

/** What makes a store of this format one of the current. @throws LiminalError `STORE_FAILED` if nothing does. */
export function migrationsFrom(
  path: string,
  format: number,
  migrations: readonly Migration[],
  wanted = FORMAT_VERSION,
): Migration[] {
  if (format > wanted) {
    const message = `The store in ${path} has format ${format}, and this version of liminal-bus knows formats up to ${wanted}. Nothing was changed: use the version that wrote it, or a newer one.`
    throw new LiminalError('STORE_FAILED', message, { retryable: false })
  }
  const steps: Migration[] = []
  for (let at = format; at < wanted; ) {
    const step = migrations.find(({ from }) => from === at)
    if (step === undefined) {
      const message = `The store in ${path} has format ${format}, which this version of liminal-bus cannot read any more (from ${at} on nothing leads to ${wanted}). Nothing was changed: upgrade it with an older version first.`
      throw new LiminalError('STORE_FAILED', message, { retryable: false })
    }
    steps.push(step)
    at = step.to
  }
  return steps
}
