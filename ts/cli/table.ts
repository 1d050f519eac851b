import { visible } from './visible.ts'

/** Lines of columns for people: text to the left, what is a number to the right. The first row is the head. */
export function tableLines(rows: readonly (readonly string[])[]): string[] {
  const [head] = rows
  const columns = head.map((_, column) => rows.map((row) => visible(row[column] ?? '')))
  const widths = columns.map((cells) => Math.max(...cells.map((cell) => cell.length)))
  const numeric = columns.map((cells) => cells.slice(1).every((cell) => /^[\d,]*-?$/.test(cell)))
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const text = visible(cell)
        return numeric[column] === true ? text.padStart(widths[column]) : text.padEnd(widths[column])
      })
      .join('  ')
      .trimEnd(),
  )
}

/** A number for people; `-` where there is none. */
export function shown(value: number | bigint | null): string {
  return value === null ? '-' : value.toString()
}

/** A time for people and for machines alike; `-` where there is none. */
export function shownTime(milliseconds: number | null): string {
  return milliseconds === null ? '-' : new Date(milliseconds).toISOString()
}
