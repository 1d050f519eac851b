import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { reporters } from './reporters.ts'

export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    include: ['test/package/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 1,
    // npm packs and installs here.
    testTimeout: 120_000,
    hookTimeout: 300_000,
    reporters: reporters(),
  },
})
