import { readFileSync, writeFileSync } from 'node:fs'
import type { Metric } from '../run/measurement.ts'
import { digits, percent, short } from './format.ts'
import type { Report } from './report.ts'

const BEGIN = '<!-- peers:begin: npm run bench:peers -- --docs writes what is between these lines -->'
const END = '<!-- peers:end -->'

/** Replaces what is between the two marks of a Markdown file. @throws Error if it has no such marks. */
export function writeTable(file: URL, report: Report): void {
  const text = readFileSync(file, 'utf8')
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END)
  if (begin === -1 || end < begin) throw new Error(`${file.pathname} lacks the lines ${BEGIN} and ${END}.`)
  writeFileSync(file, `${text.slice(0, begin + BEGIN.length)}\n\n${markdown(report)}\n${text.slice(end)}`)
}

function markdown(report: Report): string {
  const { effort, noise } = report
  const parts = [
    `${report.date.slice(0, 10)}, ${report.machine}. Medians of ${effort.runs} interleaved runs of ${effort.seconds} s. Other processes used ${percent(noise.foreign)} of the machine at most, its host took ${percent(noise.stolen)}.`,
    table(
      ['', ...COLUMNS.map(({ title }) => title)],
      report.systems.map(({ name, title }) => [title, ...COLUMNS.map(({ cell }) => cell(medianIn(report, name)))]),
    ),
    'In brackets: microseconds of server CPU for each delivery, request or acknowledgement. W4: requests/s at 64 in flight, p99 at 1 in flight.',
    table(
      ['', 'target', 'wanted', 'found', ''],
      report.targets.map(({ workload, target, wanted, value, holds }) => [
        workload,
        target,
        wanted,
        value === null ? '' : digits(value),
        holds === null ? 'not measured' : holds ? 'kept' : '**not kept**',
      ]),
    ),
    list(
      'What an acknowledgement of W5 means',
      report.systems
        .filter((system) => system.durability !== null)
        .map(({ title, durability }) => `${title}: ${durability}`),
    ),
    list(
      'Settings',
      report.systems.map(({ title, version, setting }) => `${title} (${version}): ${setting}`),
    ),
    list(
      'Left out',
      report.skipped.map(
        ({ system, workload, reason }) => `${system}${workload === null ? '' : ` in ${workload}`}: ${reason}`,
      ),
    ),
    list(
      'Failed',
      report.failed.map(({ system, workload, run, error }) => `${system} in ${workload}, run ${run}: ${error}`),
    ),
  ]
  return `${parts.filter(Boolean).join('\n\n')}\n`
}

type Median = (workload: string, metric: Metric) => number | null

interface Column {
  readonly title: string
  readonly cell: (median: Median) => string
}

const COLUMNS: readonly Column[] = [
  { title: 'W1 messages/s', cell: rateAndCost('W1') },
  { title: 'W2 deliveries/s', cell: rateAndCost('W2') },
  { title: 'W3 acks/s', cell: rateAndCost('W3') },
  {
    title: 'W4 requests/s, p99 us',
    cell: (median) => {
      const p99 = median('W4-single', 'p99')
      const rate = rateAndCost('W4')(median)
      return p99 === null ? rate : `${rate}, ${Math.round(p99).toLocaleString('en-US')}`
    },
  },
  { title: 'W5 acks/s', cell: rateAndCost('W5') },
  { title: 'W6 MB/s', cell: rateAndCost('W6') },
  {
    title: 'W7 KiB/connection, idle us/s',
    cell: (median) => {
      const memory = median('W7', 'connectionMemory')
      const idle = median('W7', 'idleCpu')
      return memory === null || idle === null ? '' : `${digits(memory)}, ${Math.round(idle).toLocaleString('en-US')}`
    },
  },
  { title: 'W8 messages/s', cell: rateAndCost('W8') },
]

function rateAndCost(workload: string): (median: Median) => string {
  return (median) => {
    const rate = median(workload, 'rate')
    const cost = median(workload, 'serverCpu')
    return rate === null || cost === null ? '' : `${short(rate)} (${digits(cost)})`
  }
}

function medianIn({ results }: Report, system: string): Median {
  return (workload, metric) =>
    results.find((result) => result.workload === workload && result.system === system)?.metrics[metric]?.median ?? null
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return ''
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')
}

function list(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? '' : `${title}:\n\n${lines.map((line) => `- ${line}`).join('\n')}`
}
