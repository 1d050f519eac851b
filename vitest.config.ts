import { defineConfig } from 'vitest/config'
import { reporters } from './test/package/reporters.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'bench/peers/test/**/*.test.ts'],
    // Packs and installs the package: `npm run test:package`.
    exclude: ['test/package/**'],
    // Real processes, sockets and addons: a process of its own for each file keeps one file's crash or leftovers from another.
    pool: 'forks',
    maxWorkers: 2,
    // Tests wait for events. The limit only ends a test that would wait for ever, also on a machine that is busy with other things.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: reporters(),
  },
})
