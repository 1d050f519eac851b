import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { EmbeddedStore } from '../../ts/durability/index.ts'
import { eventStoreConformance } from './event-store-conformance.ts'

const root = mkdtempSync(join(tmpdir(), 'liminal-store-'))
let count = 0

afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})

for (const sync of ['each', 'interval', 'os'] as const) {
  eventStoreConformance(`EmbeddedStore, synced: ${sync}`, async () => {
    count++
    return EmbeddedStore.open({ path: join(root, String(count)), sync })
  })
}
