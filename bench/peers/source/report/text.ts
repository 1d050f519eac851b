import { digits, METRIC_FORMS } from './format.ts'
import { METRICS, type Report } from './report.ts'

/** Prints a report for people: a table for each workload, then the targets. */
export function printReport(report: Report): void {
  for (const { name, title, unit } of report.workloads) {
    const results = report.results.filter(({ workload }) => workload === name)
    if (results.length === 0) continue
    const shown = METRICS.filter((metric) => results.some(({ metrics }) => metrics[metric] !== undefined))
    console.log(`\n${name}: ${title} (${unit})`)
    printTable([
      ['', ...shown.map((metric) => METRIC_FORMS[metric].title)],
      ...results.map(({ system, metrics }) => [
        system,
        ...shown.map((metric) => {
          const summary = metrics[metric]
          return summary === undefined ? '' : METRIC_FORMS[metric].text(summary.median)
        }),
      ]),
    ])
  }
  if (report.targets.length > 0) {
    console.log('\nTargets')
    printTable(
      report.targets.map(({ workload, target, wanted, value, holds }) => [
        `${workload}: ${target}`,
        wanted,
        value === null ? '' : digits(value),
        holds === null ? 'not measured' : holds ? 'kept' : 'NOT KEPT',
      ]),
    )
  }
  for (const { system, workload, reason } of report.skipped)
    console.log(`Left out: ${system}${workload === null ? '' : ` in ${workload}`}: ${reason}`)
  for (const { system, workload, run, error } of report.failed)
    console.log(`FAILED: ${system} in ${workload}, run ${run}: ${error}`)
}

function printTable(rows: readonly (readonly string[])[]): void {
  const widths = rows[0].map((_cell, column) => Math.max(...rows.map((row) => row[column].length)))
  for (const row of rows) {
    const cells = row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
    console.log(cells.join('  ').trimEnd())
  }
}
