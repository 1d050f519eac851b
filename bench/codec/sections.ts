import { type Comparison, grid, type Skipped } from './comparison.ts'

const WIDTH = 720
const LABEL = 255
const VALUE = 80
const BAR = 14
const ROW = 22

/** Tables and bars of what was compared, as the part of the page behind the pairs. */
export function comparisonSections(
  comparisons: readonly Comparison[],
  skipped: readonly Skipped[],
  materialises: Readonly<Record<string, string>>,
): string {
  const groups = [...new Set(comparisons.map(({ group }) => group))]
  const sections = groups.map((group) =>
    section(
      group,
      comparisons.filter((comparison) => comparison.group === group),
    ),
  )
  return [...sections, legend(materialises), ...skipped.map(note)].join('\n')
}

function section(group: string, comparisons: readonly Comparison[]): string {
  const complete = comparisons.filter(({ nanoseconds }) => !Object.values(nanoseconds).includes(null))
  const charted = complete.findLast((comparison) => / 128 B$/.test(comparison.case)) ?? complete[0] ?? comparisons[0]
  const [header, ...lines] = grid(comparisons, cell)
  return `<section>
<h2>${escapeHtml(group)}</h2>
<p class="quiet">Nanoseconds for each ${comparisons[0].per}, less is better. The bars are: ${escapeHtml(charted.case)}.</p>
${bars(charted)}
<div class="wide">
<table>
<thead><tr>${header.map((text) => `<th>${escapeHtml(text)}</th>`).join('')}</tr></thead>
<tbody>
${lines.map(([name, ...cells]) => `<tr><td>${escapeHtml(name)}</td>${cells.join('')}</tr>`).join('\n')}
</tbody>
</table>
</div>
</section>`
}

function bars({ nanoseconds, case: name }: Comparison): string {
  const rows = Object.entries(nanoseconds).filter((row): row is [string, number] => row[1] !== null)
  const largest = Math.max(...rows.map(([, value]) => value))
  const scale = (WIDTH - LABEL - VALUE) / largest
  const drawn = rows.map(([who, value], index) => {
    const top = index * ROW + 4
    const width = Math.max(2, value * scale)
    return (
      `<text x="0" y="${top + BAR - 2}">${escapeHtml(who)}</text>` +
      `<rect class="${isOurs(who) ? 'native' : 'shared'}" x="${LABEL}" y="${top}" width="${width.toFixed(1)}" height="${BAR}" rx="2"></rect>` +
      `<text class="value" x="${(LABEL + width + 6).toFixed(1)}" y="${top + BAR - 2}">${short(value)} ns</text>`
    )
  })
  return `<svg viewBox="0 0 ${WIDTH} ${rows.length * ROW + 4}" role="img" aria-label="${escapeHtml(name)}, nanoseconds">
${drawn.join('\n')}
</svg>`
}

function cell({ nanoseconds, encodedBytes }: Comparison, name: string): string {
  const value = nanoseconds[name] ?? null
  const bytes = encodedBytes?.[name]
  const size = bytes === undefined ? '' : `<br><span class="quiet">${bytes.toLocaleString('en-US')}&nbsp;B</span>`
  return `<td>${value === null ? '' : short(value)}${size}</td>`
}

function legend(materialises: Readonly<Record<string, string>>): string {
  const rows = Object.entries(materialises).map(
    ([name, what]) => `<tr><td>${escapeHtml(name)}</td><td class="text">${escapeHtml(what)}</td></tr>`,
  )
  return `<section>
<h2>What decoding leaves in memory</h2>
<p class="quiet">A fair comparison is with the line that makes as much. Byte fields are views of the encoded bytes everywhere, no copies.</p>
<table><tbody>
${rows.join('\n')}
</tbody></table>
</section>`
}

function note({ case: name, skipped }: Skipped): string {
  return `<p class="quiet">Not measured: ${escapeHtml(name)}, because ${escapeHtml(skipped)}.</p>`
}

function isOurs(who: string): boolean {
  return who.startsWith('liminal') || who.includes('napi-rs')
}

function short(value: number): string {
  return value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en-US')
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
