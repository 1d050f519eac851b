// What a crash costs: from the moment an exit can be observed to the moment its work is on its way to somebody else. Prints a table, or JSON with --json.
import { parseArgs } from 'node:util'
import { killConnections } from './connection.mjs'
import { killParticipants } from './in-process.mjs'
import { loop } from './loop.mjs'
import { printTable } from './print.mjs'
import { killThreads } from './thread.mjs'
import { dispatchThroughput } from './throughput.mjs'

const SECTIONS = {
  'in-process': killParticipants,
  thread: killThreads,
  connection: killConnections,
  throughput: dispatchThroughput,
  loop,
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    kills: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '5' },
    only: { type: 'string', multiple: true },
  },
})
const kills = positive('kills', values.kills)
const seconds = positive('seconds', values.seconds)
const names = values.only ?? Object.keys(SECTIONS)
for (const name of names) {
  if (!Object.hasOwn(SECTIONS, name)) throw new Error(`--only ${name}: known are ${Object.keys(SECTIONS).join(', ')}.`)
}

const report = { node: process.version, platform: `${process.platform}-${process.arch}`, kills, sections: {} }
for (const name of names) {
  if (!values.json) console.error(`${name} ...`)
  report.sections[name] = await SECTIONS[name]({ kills, seconds })
}
if (values.json) console.log(JSON.stringify(report, null, 2))
else printTable(report)
process.exitCode = Object.values(report.sections).every(
  (section) => (section.lost ?? 0) === 0 && (section.duplicates ?? 0) === 0,
)
  ? 0
  : 1

function positive(name, text) {
  const value = Number(text)
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`--${name} must be a positive integer, but is '${text}'.`)
}
