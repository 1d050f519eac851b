/**
 * Says how long this machine lets a process wait that does nothing but compute: `control.ts <keys>` takes as many turns as inserting so many keys does, of about the same length. Prints JSON.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { RUN_KEYS, TURN_RUNS } from './keys.ts'

/** What inserting a key takes, about. */
const KEY_MS = 0.0004

const turns = Math.ceil(Number(process.argv[2]) / (RUN_KEYS * TURN_RUNS))
let longestPauseMs = 0
await nextTurn()
for (let turn = 0; turn < turns; turn++) {
  const start = performance.now()
  const end = start + KEY_MS * RUN_KEYS * TURN_RUNS
  while (performance.now() < end);
  await nextTurn()
  longestPauseMs = Math.max(longestPauseMs, performance.now() - start)
}
console.log(JSON.stringify({ longestPauseMs }))
