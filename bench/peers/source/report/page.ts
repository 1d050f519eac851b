import { digits, METRIC_FORMS, percent, short } from './format.ts'
import { METRICS, type Report, type Result } from './report.ts'
import { STYLE } from './style.ts'

const WIDTH = 720
const LABEL = 190
const VALUE = 170
const BAR = 16
const ROW = 24

/** What a chart shows of each result. */
interface Measure {
  readonly metric: 'rate' | 'serverCpu' | 'p99' | 'connectionMemory'
  readonly title: string
}

/** A page that needs nothing but itself: bars with what the runs were between, the targets and all numbers, in light and dark. */
export function page(report: Report): string {
  const { effort, noise } = report
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>liminal-bus and its peers</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>liminal-bus and its peers</h1>
<p>Publisher, server and subscriber are processes of their own on one machine. Medians of ${effort.runs} runs of ${effort.seconds} s in which the systems took turns; the thin lines go from the slowest run to the fastest. Every message was counted and checked.</p>
<p class="quiet">${escapeHtml(report.machine)}, ${escapeHtml(report.date.slice(0, 10))}. Other processes used ${percent(noise.foreign)} of the machine at most, its host took ${percent(noise.stolen)}; load average up to ${digits(noise.load)}.</p>
<p class="legend"><span class="key liminal"></span>liminal <span class="key peer"></span>peers <span class="key floor"></span>raw floor</p>
${failures(report)}
<h2>Targets</h2>
${targets(report)}
${report.workloads.map(({ name }) => workload(report, name)).join('\n')}
<h2>How each was set up</h2>
${settings(report)}
</main>
</body>
</html>
`
}

function workload(report: Report, name: string): string {
  const { title, unit } = report.workloads.find((each) => each.name === name) ?? { title: name, unit: '' }
  const results = report.results.filter((result) => result.workload === name)
  if (results.length === 0) return ''
  return `<section>
<h2>${escapeHtml(name)}: ${escapeHtml(title)}</h2>
${measuresOf(name, unit)
  .map((measure) => chart(report, results, measure))
  .join('\n')}
<details><summary>All numbers of ${escapeHtml(name)}</summary>
${numbers(report, results)}
</details>
</section>`
}

function measuresOf(name: string, unit: string): readonly Measure[] {
  if (name === 'W7') return [{ metric: 'connectionMemory', title: 'KiB of server memory for each connection' }]
  const rate: Measure = { metric: 'rate', title: unit }
  if (name === 'W4-single') return [rate, { metric: 'p99', title: 'p99, microseconds' }]
  return [rate, { metric: 'serverCpu', title: 'microseconds of server CPU for each' }]
}

function chart(report: Report, results: readonly Result[], { metric, title }: Measure): string {
  const rows = results.flatMap(({ system, metrics }) => {
    const summary = metrics[metric]
    return summary === undefined ? [] : [{ system, summary }]
  })
  const lowerIsBetter = metric !== 'rate'
  rows.sort((left, right) => (left.summary.median - right.summary.median) * (lowerIsBetter ? 1 : -1))
  const scale = (WIDTH - LABEL - VALUE) / Math.max(...rows.map(({ summary }) => summary.max), Number.MIN_VALUE)
  const bars = rows.map(({ system, summary: { median, min, max } }, index) => {
    const { title: label = system, kind = 'broker' } = report.systems.find(({ name }) => name === system) ?? {}
    const top = index * ROW
    const middle = top + ROW / 2
    const at = (value: number) => (LABEL + Math.max(0, value) * scale).toFixed(1)
    return `<text x="0" y="${middle + 4}">${escapeHtml(label)}</text><rect class="${colour(kind)}" x="${LABEL}" y="${top + (ROW - BAR) / 2}" width="${Math.max(1, median * scale).toFixed(1)}" height="${BAR}" rx="2"></rect><line x1="${at(min)}" x2="${at(max)}" y1="${middle}" y2="${middle}"></line><text class="value" x="${(Number(at(max)) + 6).toFixed(1)}" y="${middle + 4}">${METRIC_FORMS[metric].text(median)}</text>`
  })
  const direction = lowerIsBetter ? 'less is better' : 'more is better'
  return `<h3>${escapeHtml(title)} <span class="quiet">${direction}</span></h3>
<svg viewBox="0 0 ${WIDTH} ${rows.length * ROW}" role="img" aria-label="${escapeHtml(title)}">
${bars.join('\n')}
</svg>`
}

function colour(kind: Report['systems'][number]['kind']): string {
  return kind === 'liminal' || kind === 'floor' ? kind : 'peer'
}

function numbers(report: Report, results: readonly Result[]): string {
  const shown = METRICS.filter((metric) => results.some(({ metrics }) => metrics[metric] !== undefined))
  const rows = results.map(({ system, metrics }) => {
    const cells = shown.map((metric) => {
      const summary = metrics[metric]
      if (summary === undefined) return ''
      const { text } = METRIC_FORMS[metric]
      return `${text(summary.median)}<br><span class="quiet">${text(summary.min)} - ${text(summary.max)}</span>`
    })
    const title = report.systems.find(({ name }) => name === system)?.title ?? system
    return row('td', [escapeHtml(title), ...cells])
  })
  const head = row('th', ['', ...shown.map((metric) => METRIC_FORMS[metric].title)])
  return `<div class="wide"><table><thead>${head}</thead><tbody>\n${rows.join('\n')}\n</tbody></table></div>`
}

function targets(report: Report): string {
  if (report.targets.length === 0) return '<p>liminal was not measured.</p>'
  const rows = report.targets.map(({ workload: name, target, wanted, value, holds }) => {
    const verdict = holds === null ? 'not measured' : holds ? 'kept' : 'not kept'
    const found = value === null ? '' : short(value)
    return `<tr class="${verdict.replace(' ', '-')}">${cells('td', [escapeHtml(`${name}: ${target}`), escapeHtml(wanted), found, verdict])}</tr>`
  })
  return `<div class="wide"><table class="targets"><thead>${row('th', ['target', 'wanted', 'found', ''])}</thead><tbody>\n${rows.join('\n')}\n</tbody></table></div>`
}

function settings(report: Report): string {
  const rows = report.systems.map(({ title, version, setting, durability }) =>
    row('td', [
      escapeHtml(title),
      escapeHtml(version),
      escapeHtml(durability === null ? setting : `${setting}. W5: ${durability}`),
    ]),
  )
  const skipped = report.skipped.map(
    ({ system, workload: name, reason }) =>
      `<li>${escapeHtml(system)}${name === null ? '' : ` in ${escapeHtml(name)}`}: ${escapeHtml(reason)}</li>`,
  )
  const left = skipped.length === 0 ? '' : `<h3>Left out</h3><ul>${skipped.join('\n')}</ul>`
  return `<div class="wide"><table class="text"><thead>${row('th', ['system', 'version', 'setting'])}</thead><tbody>\n${rows.join('\n')}\n</tbody></table></div>${left}`
}

function failures({ failed }: Report): string {
  if (failed.length === 0) return ''
  const items = failed.map(
    ({ system, workload: name, run, error }) =>
      `<li>${escapeHtml(system)} in ${escapeHtml(name)}, run ${run}: ${escapeHtml(error)}</li>`,
  )
  return `<h2>Failed runs</h2><ul class="failed">${items.join('\n')}</ul>`
}

function row(kind: 'td' | 'th', texts: readonly string[]): string {
  return `<tr>${cells(kind, texts)}</tr>`
}

function cells(kind: 'td' | 'th', texts: readonly string[]): string {
  return texts.map((text) => `<${kind}>${text}</${kind}>`).join('')
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
