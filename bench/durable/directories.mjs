import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** Does something in a new directory below `parent`, which is gone afterwards. */
export async function inDirectory(parent, work) {
  const directory = await mkdtemp(join(parent, 'liminal-durable-'))
  try {
    return await work(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
