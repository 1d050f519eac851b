// What durability costs: acknowledged publishes, catching up and recovery, beside SQLite and a raw log in the same run. Prints a table, or JSON with --json.
import { cpus, loadavg, tmpdir, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { measureCatchingUp } from './catching-up.mjs'
import { writeDocs } from './docs.mjs'
import { printReport } from './print.mjs'
import { measurePublishing } from './publishing.mjs'
import { measureRecovery } from './recovering.mjs'
import { SYSTEMS } from './systems/index.mjs'

const SECTIONS = { publishing: measurePublishing, catchingUp: measureCatchingUp, recovery: measureRecovery }

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    // Writes the tables of docs/performance.md too.
    docs: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    systems: { type: 'string' },
    'in-flight': { type: 'string', default: '1,16,256' },
    runs: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    messages: { type: 'string', default: '1000000' },
    conversations: { type: 'string', default: '10000' },
    // Where the files go: what it measures is the disk below it.
    directory: { type: 'string', default: tmpdir() },
  },
})
const sections = chosen('only', values.only, SECTIONS)
const wanted = chosen('systems', values.systems?.split(','), SYSTEMS)
const skipped = []
const systems = []
for (const system of wanted) {
  const { missing } = await SYSTEMS[system].find()
  if (missing === null) systems.push(system)
  else skipped.push({ system, reason: missing })
}
const options = {
  systems,
  inFlights: values['in-flight'].split(',').map((text) => whole('in-flight', text)),
  runs: whole('runs', values.runs),
  seconds: positive('seconds', values.seconds),
  messages: whole('messages', values.messages),
  conversations: whole('conversations', values.conversations),
  parent: values.directory,
  say: (line) => process.stderr.write(`${line}\n`),
}

const memory = Math.round(totalmem() / 2 ** 30)
const report = {
  date: new Date().toISOString(),
  load: 0,
  machine: `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${memory} GiB, ${process.platform}-${process.arch}, Node ${process.version}`,
  directory: values.directory,
  runs: options.runs,
  seconds: options.seconds,
  skipped,
}
for (const section of sections) {
  report[section] = await SECTIONS[section](options)
  report.load = Math.max(report.load, loadavg()[0])
}
if (values.docs) writeDocs(report)
if (values.json) console.log(JSON.stringify(report, null, 2))
else printReport(report)

function chosen(name, given, known) {
  const names = Object.keys(known)
  for (const each of given ?? []) {
    if (!names.includes(each)) throw new Error(`--${name} ${each}: known are ${names.join(', ')}.`)
  }
  return given ?? names
}

function positive(name, text) {
  const value = Number(text)
  if (value > 0 && Number.isFinite(value)) return value
  throw new Error(`--${name} must be a number above 0, but is '${text}'.`)
}

function whole(name, text) {
  const value = positive(name, text)
  if (Number.isInteger(value)) return value
  throw new Error(`--${name} must be a whole number, but is '${text}'.`)
}
