import { defineConfig } from 'vitest/config'
import { ALONE, SUITE } from './test/files.ts'
import { LongestFirst } from './test/longest-first.ts'
import { reporters } from './test/package/reporters.ts'

export default defineConfig({
  test: {
    // Real processes, sockets and addons: what crashes takes one process along and not the run.
    pool: 'forks',
    // Two cores, and a file that waits for its processes, sockets or disk leaves one of them to a third.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    // Tests wait for events. The limit only ends a test that would wait for ever, also on a machine that is busy with other things.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // The turns of the event loop are counted for a whole process: a faked setImmediate would stop them for the files that come after.
    fakeTimers: { toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'] },
    reporters: reporters(),
    projects: [
      { extends: true, test: { name: 'alone', include: ALONE } },
      // Half of the time of a short file is a process that starts and loads the sources once more.
      {
        extends: true,
        test: { name: 'together', include: SUITE, exclude: ALONE, isolate: false, setupFiles: 'test/left-behind.ts' },
      },
    ],
  },
})
