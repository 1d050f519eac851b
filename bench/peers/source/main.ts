/**
 * liminal-bus and other messaging systems, side by side; see {@link USAGE}. Progress goes to stderr, results to stdout.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Options, readOptions, USAGE } from './options.ts'
import { METRIC_FORMS } from './report/format.ts'
import { page } from './report/page.ts'
import { type Entrant, METRICS, type Report, reportOf, type Skipped } from './report/report.ts'
import { writeTable } from './report/table.ts'
import { judge } from './report/targets.ts'
import { printReport } from './report/text.ts'
import { runAll } from './run/all.ts'
import type { FailedRun, Run } from './run/measurement.ts'
import type { System } from './systems/system.ts'

const RESULTS = new URL('../../results/', import.meta.url)
const DOCS = new URL('../../../docs/performance.md', import.meta.url)

try {
  const options = readOptions(process.argv.slice(2))
  if (options.help) console.log(USAGE)
  else if (options.list) list(options.systems)
  else await run(options)
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}

async function run(wanted: Options): Promise<void> {
  const report = wanted.from === null ? await measure(wanted) : read(wanted.from)
  // A short run shows that everything works; it is no result to keep.
  if (!wanted.quick) {
    mkdirSync(RESULTS, { recursive: true })
    writeFileSync(new URL('peers.json', RESULTS), `${JSON.stringify(report, null, 2)}\n`)
    writeFileSync(new URL('peers.html', RESULTS), page(report))
    say(`Page: ${fileURLToPath(new URL('peers.html', RESULTS))}`)
  }
  if (wanted.docs) writeTable(DOCS, report)
  if (wanted.json) console.log(JSON.stringify(report, null, 2))
  else printReport(report)
  if (report.failed.length > 0) process.exitCode = 1
}

async function measure({ workloads, systems, effort }: Options): Promise<Report> {
  const { entrants, missing } = findAll(systems)
  for (const { system, reason } of missing) say(`Without ${system}: ${reason}`)
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => stop.abort(new Error(`The benchmark was stopped by ${signal}.`)))
  const present = entrants.map(({ system }) => system)
  return reportOf(workloads, entrants, missing, effort, await runAll(workloads, present, effort, stop.signal, sayRun))
}

/** A report of before. The targets are those of today. */
function read(file: string): Report {
  const report = JSON.parse(readFileSync(file, 'utf8')) as Report
  return { ...report, targets: judge(report.results, report.systems) }
}

function findAll(systems: readonly System[]): { entrants: Entrant[]; missing: Skipped[] } {
  const entrants: Entrant[] = []
  const missing: Skipped[] = []
  for (const system of systems) {
    const found = system.find()
    if ('missing' in found) missing.push({ system: system.name, workload: null, reason: found.missing })
    else entrants.push({ system, version: found.version })
  }
  return { entrants, missing }
}

function list(systems: readonly System[]): void {
  for (const system of systems) {
    const found = system.find()
    console.log(`${system.name}: ${'missing' in found ? found.missing : found.version}; ${system.workloads.join(' ')}`)
  }
}

function sayRun(run: Run | FailedRun): void {
  const which = `${run.workload} ${run.system}, run ${run.run}`
  if ('error' in run) {
    say(`${which}: FAILED: ${run.error}`)
    return
  }
  const numbers = METRICS.flatMap((metric) => {
    const value = run.metrics[metric]
    return value === undefined ? [] : [`${METRIC_FORMS[metric].title} ${METRIC_FORMS[metric].text(value)}`]
  })
  say(`${which}: ${numbers.join(', ')}`)
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
