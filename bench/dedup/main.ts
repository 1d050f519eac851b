/**
 * The index of idempotency keys against a `Map` of strings and against its twin in TypeScript: `npm run bench:dedup -- [--json] [--keys <number>]...`. Sizes default to 1 and 10
 * million keys. Exits with 1 if a threshold was missed.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import type { Measurement } from './child.ts'
import { judge, pauseMissed, print, type Report, type Restored } from './report.ts'
import { SUBJECTS } from './subjects.ts'

const run = promisify(execFile)
/** Enough for a Map of 10 million keys, which takes 2 GB. */
const HEAP_MB = 6_144
/** The machine pauses a process for other reasons too. What the index does is the same every time, so the shortest of the longest pauses says the most about it. */
const PAUSE_ATTEMPTS = 3

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, keys: { type: 'string', multiple: true } },
})
const sizes = (values.keys ?? ['1000000', '10000000']).map(positive)

const report: Report = { node: process.version, platform: `${process.platform}-${process.arch}`, ...(await measure()) }
if (values.json) console.log(JSON.stringify(report, null, 2))
else print(report)
process.exitCode = report.verdicts.every(({ met }) => met) ? 0 : 1

async function measure(): Promise<Omit<Report, 'node' | 'platform'>> {
  const measurements: Measurement[] = []
  for (const keys of sizes) {
    for (const subject of SUBJECTS) measurements.push(await child('child.ts', subject, keys))
  }
  const verdicts = () => judge(measurements)
  for (let again = 1; again < PAUSE_ATTEMPTS && pauseMissed(verdicts()); again++) {
    measurements.push(await child('child.ts', 'native', Math.max(...sizes)))
  }
  const control = await child('control.ts', Math.max(...sizes))
  const restored: Restored[] = []
  for (const subject of ['native', 'typescript']) restored.push(await child('restore.ts', subject, sizes[0]))
  return { measurements, restored, control, verdicts: verdicts() }
}

async function child(file: string, ...args: readonly (string | number)[]) {
  if (!values.json) console.error(`${[file.replace('.ts', ''), ...args].join(' ')} ...`)
  const script = fileURLToPath(new URL(file, import.meta.url))
  const options = ['--expose-gc', `--max-old-space-size=${HEAP_MB}`, '--import', 'tsx', script, ...args.map(String)]
  const { stdout } = await run(process.execPath, options)
  return JSON.parse(stdout)
}

function positive(text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new Error(`--keys must be a positive whole number, but is '${text}'.`)
}
