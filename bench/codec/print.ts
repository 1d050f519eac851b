import { type Comparison, grid, type Skipped } from './comparison.ts'

/** Prints comparisons as tables for people, one for each group. */
export function printComparisons(comparisons: readonly Comparison[], skipped: readonly Skipped[]): void {
  for (const group of new Set(comparisons.map((comparison) => comparison.group))) {
    const cases = comparisons.filter((comparison) => comparison.group === group)
    console.log(`\n${group}, ns for each ${cases[0].per}`)
    printColumns(grid(cases, (one, name) => one.nanoseconds[name]?.toFixed(1) ?? '-'))
  }
  for (const { case: name, skipped: reason } of skipped) console.log(`\nNot measured: ${name}, because ${reason}.`)
}

/** Prints lines of cells as columns, the first to the left and the others to the right. */
export function printColumns(lines: readonly (readonly string[])[]): void {
  const widths = lines[0].map((_cell, column) => Math.max(...lines.map((line) => line[column].length)))
  for (const line of lines) {
    const cells = line.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
    console.log(cells.join('  ').trimEnd())
  }
}
