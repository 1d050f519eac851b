/** One measured case with what the page says about it. */
export interface ChartRow {
  readonly group: string
  readonly case: string
  readonly nativeOpsPerSecond: number
  readonly typescriptOpsPerSecond: number
  readonly ratio: number
  /** Least ratio promised, or null. */
  readonly promised: number | null
  /** Both codecs run one function here. */
  readonly shared: boolean
}

/** Everything that a chart page shows. */
export interface ChartReport {
  readonly title: string
  readonly machine: string
  /** Year, month, day. */
  readonly date: string
  readonly method: string
  readonly rows: readonly ChartRow[]
}

const WIDTH = 720
const LABEL = 215
const VALUE = 120
const BAR = 14
const ROW = 46

/**
 * A page that needs nothing but itself: bars of operations per second, one panel per group, in light and dark. `appendix` is HTML that goes below the numbers.
 */
export function chartPage(report: ChartReport, appendix = ''): string {
  const groups = [...new Set(report.rows.map(({ group }) => group))]
  const panels = groups.map((group) =>
    panel(
      group,
      report.rows.filter((row) => row.group === group),
    ),
  )
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(report.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(report.title)}</h1>
<p>${escapeHtml(report.method)}</p>
<p class="quiet">${escapeHtml(report.machine)}, ${escapeHtml(report.date)}</p>
<p class="legend"><span class="key native"></span>native <span class="key typescript"></span>TypeScript <span class="key shared"></span>one path for both</p>
${panels.join('\n')}
<h2>All numbers</h2>
${numbers(report.rows)}
${appendix}
</main>
</body>
</html>
`
}

function panel(group: string, rows: readonly ChartRow[]): string {
  const largest = Math.max(...rows.flatMap((row) => [row.nativeOpsPerSecond, row.typescriptOpsPerSecond]))
  const scale = (WIDTH - LABEL - VALUE) / largest
  const bars = rows.map((row, index) => barPair(row, index * ROW + 6, scale))
  const shared = rows.every((row) => row.shared)
  const note = shared
    ? '<p class="quiet">A call into the addon costs more than one frame saves, so the native codec runs the TypeScript function here. It was measured once.</p>'
    : ''
  return `<section>
<h2>${escapeHtml(group)}</h2>
${note}
<svg viewBox="0 0 ${WIDTH} ${rows.length * ROW}" role="img" aria-label="${escapeHtml(group)}, operations per second">
${bars.join('\n')}
</svg>
</section>`
}

function barPair(row: ChartRow, top: number, scale: number): string {
  const label = `<text class="label" x="0" y="${top + BAR + 5}">${escapeHtml(row.case)}</text>`
  if (row.shared) return label + bar('shared', top + BAR / 2, row.typescriptOpsPerSecond, scale, '')
  const ratio = ` · ${row.ratio.toFixed(1)}×`
  return (
    label +
    bar('native', top, row.nativeOpsPerSecond, scale, ratio) +
    bar('typescript', top + BAR + 3, row.typescriptOpsPerSecond, scale, '')
  )
}

function bar(kind: string, top: number, value: number, scale: number, note: string): string {
  const width = Math.max(2, value * scale)
  const text = `${short(value)}/s${note}`
  return (
    `<rect class="${kind}" x="${LABEL}" y="${top}" width="${width.toFixed(1)}" height="${BAR}" rx="2"></rect>` +
    `<text class="value" x="${(LABEL + width + 6).toFixed(1)}" y="${top + BAR - 3}">${text}</text>`
  )
}

function numbers(rows: readonly ChartRow[]): string {
  const lines = rows.map((row) => {
    const promise = row.promised === null ? '' : `${row.promised.toFixed(1)}×`
    const kept = row.promised === null ? '' : row.ratio >= row.promised ? 'kept' : 'not kept'
    const ratio = `${row.ratio.toFixed(2)}×${row.shared ? ' (one path)' : ''}`
    return `<tr><td>${escapeHtml(row.case)}</td><td>${full(row.nativeOpsPerSecond)}</td><td>${full(row.typescriptOpsPerSecond)}</td><td>${ratio}</td><td>${promise}</td><td>${kept}</td></tr>`
  })
  return `<table>
<thead><tr><th>case</th><th>native, ops/s</th><th>TypeScript, ops/s</th><th>ratio</th><th>promised</th><th></th></tr></thead>
<tbody>
${lines.join('\n')}
</tbody>
</table>`
}

function short(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(value >= 1e7 ? 0 : 1)} M`
  return value >= 1e3 ? `${(value / 1e3).toFixed(0)} k` : String(value)
}

function full(value: number): string {
  return value.toLocaleString('en-US')
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

const STYLE = `
:root { color-scheme: light dark; --ground: #fdfdfc; --ink: #1d1f22; --quiet: #5d636b; --line: #d9dce0; --native: #b7410e; --typescript: #2f6db3; --shared: #7a7f87 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15171a; --ink: #e8eaed; --quiet: #9aa1aa; --line: #33383f; --native: #f08a4b; --typescript: #6aa9ec; --shared: #9aa1aa }
}
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1rem 4rem }
h1 { font-size: 1.5rem; margin: 0 0 .5rem }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem }
p { margin: 0 0 .5rem }
.quiet { color: var(--quiet); font-size: .9rem }
svg { width: 100%; height: auto; display: block }
svg text { font: 13px system-ui, sans-serif; fill: var(--ink) }
svg .value { fill: var(--quiet); font-variant-numeric: tabular-nums }
rect.native { fill: var(--native) }
rect.typescript { fill: var(--typescript) }
rect.shared { fill: var(--shared) }
.legend { display: flex; gap: .4rem; align-items: center; font-size: .9rem }
.key { width: .8rem; height: .8rem; border-radius: 2px; display: inline-block; margin-left: .8rem }
.key:first-child { margin-left: 0 }
.key.native { background: var(--native) }
.key.typescript { background: var(--typescript) }
.key.shared { background: var(--shared) }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .3rem .5rem; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child, td.text { text-align: left }
.wide { overflow-x: auto }
.wide th { font-weight: normal; vertical-align: bottom }
`
