import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { LONG } from './files.ts'

/** The order in which files are started: the long ones, then the others that have a process of their own, then those that share one. */
export class LongestFirst extends BaseSequencer {
  /** Within each of these three groups it is the order that Vitest itself would take. */
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return sorted.toSorted((one, other) => rank(one) - rank(other))
  }
}

function rank({ moduleId, project }: TestSpecification): number {
  const place = LONG.findIndex((file) => moduleId.endsWith(`/${file}`))
  if (place >= 0) return place
  // A process that is shared is kept only as long as the next file shares it too.
  return project.config.isolate ? LONG.length : LONG.length + 1
}
