import { parseArgs } from 'node:util'
import type { Effort } from './run/measurement.ts'
import { SYSTEMS, systemNamed } from './systems/index.ts'
import type { System } from './systems/system.ts'
import { WORKLOADS, type Workload, workloadsNamed } from './workloads.ts'

export const USAGE = `Measures liminal-bus and other messaging systems side by side, each with its publisher, server and subscriber in processes of their own.

    npm run bench:peers -- [options]

    --workloads W1,W3     some workloads instead of all
    --systems liminal,nats   some systems instead of all
    --runs 3              runs of each; the systems take turns
    --seconds 3           length of what is measured in a run
    --warm-up 1           seconds before that
    --idle 6              seconds for which idle connections are watched
    --messages 1000000    messages of a run, at most
    --quick               one short run of each, to see that everything works
    --json                one JSON document on stdout, nothing else there
    --docs                also writes the table in docs/performance.md
    --from FILE           measures nothing: makes page and table from a JSON document of before
    --list                the workloads and systems, and what is missing

The page and the JSON are written to bench/results/ unless --quick is given. What goes wrong makes the exit code 1.
`

/** What the command line asks for. */
export interface Options {
  readonly workloads: readonly Workload[]
  readonly systems: readonly System[]
  readonly effort: Effort
  readonly quick: boolean
  readonly json: boolean
  readonly docs: boolean
  readonly from: string | null
  readonly list: boolean
  readonly help: boolean
}

const FULL: Effort = {
  runs: 3,
  warmUpSeconds: 1,
  seconds: 3,
  messages: Number.MAX_SAFE_INTEGER,
  settleSeconds: 20,
  idleSeconds: 6,
}
const QUICK: Effort = {
  runs: 1,
  warmUpSeconds: 0.3,
  seconds: 0.5,
  messages: 1_000_000,
  settleSeconds: 1,
  idleSeconds: 2,
}

/** @throws Error that says which option is wrong. */
export function readOptions(parameters: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...parameters],
    options: {
      workloads: { type: 'string' },
      systems: { type: 'string' },
      runs: { type: 'string' },
      seconds: { type: 'string' },
      'warm-up': { type: 'string' },
      idle: { type: 'string' },
      messages: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      docs: { type: 'boolean', default: false },
      from: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const effort = values.quick ? QUICK : FULL
  return {
    workloads: values.workloads === undefined ? WORKLOADS : values.workloads.split(',').flatMap(workloadsNamed),
    systems: values.systems === undefined ? SYSTEMS : values.systems.split(',').map(systemNamed),
    effort: {
      runs: whole('runs', values.runs, effort.runs),
      warmUpSeconds: positive('warm-up', values['warm-up'], effort.warmUpSeconds),
      seconds: positive('seconds', values.seconds, effort.seconds),
      messages: whole('messages', values.messages, effort.messages),
      settleSeconds: effort.settleSeconds,
      idleSeconds: positive('idle', values.idle, effort.idleSeconds),
    },
    quick: values.quick,
    json: values.json,
    docs: values.docs,
    from: values.from ?? null,
    list: values.list,
    help: values.help,
  }
}

function positive(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  const value = Number(text)
  if (value > 0 && Number.isFinite(value)) return value
  throw new Error(`--${name} is ${text}; give a number above 0.`)
}

function whole(name: string, text: string | undefined, otherwise: number): number {
  const value = positive(name, text, otherwise)
  if (Number.isInteger(value)) return value
  throw new Error(`--${name} is ${text}; give a whole number.`)
}
