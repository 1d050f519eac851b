/**
 * The codec benchmark: native against TypeScript on the same inputs, other codecs on the same message, and what a call into an addon costs;
 * all in one run.
 *
 *     npm run bench:codec              tables for people
 *     npm run bench:codec -- --json    one array, see below
 *     npm run bench:codec -- --quick   a fraction of the time, for a first look
 *     npm run bench:codec -- --touch   everything once, to see that it runs: the numbers say nothing
 *
 * The array has three kinds of entries: pairs, {case, nativeOpsPerSecond, typescriptOpsPerSecond, ratio}, ops = frames; comparisons
 * (comparison.ts), with nanoseconds by who took them; and {case, skipped} for what could not be measured here and why.
 *
 * Always writes bench/results/codec.html and bench/results/codec.json.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { loadAddon } from '../../ts/codec/addon.ts'
import { codecInfo, nativeCodec, typescriptCodec } from '../../ts/codec/index.ts'
import { type ChartReport, chartPage } from '../report/page.ts'
import { callCosts } from './calls.ts'
import { cases } from './cases.ts'
import type { Comparison, Skipped } from './comparison.ts'
import { loadControl } from './control/build.ts'
import { scanGrid } from './grid.ts'
import { loadPeers } from './loaded.ts'
import { type Effort, isShared, measure, type Result } from './measure.ts'
import { compareMessages, materialised, ourCodecs } from './messages.ts'
import { printColumns, printComparisons } from './print.ts'
import { comparisonSections } from './sections.ts'

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    touch: { type: 'boolean', default: false },
  },
})

const { binding } = loadAddon()
if (nativeCodec === null || binding === null) {
  const tried = codecInfo().tried.map(({ from, error }) => `${from}: ${error}`)
  throw new Error(`There is no native codec to measure; run npm run build:native. ${tried.join('; ')}`)
}
const native = nativeCodec

// The pairs are what promises are made about, so they get the most.
const [forPairs, forComparisons] = efforts()

const results = await measure(cases, native, typescriptCodec, forPairs, (round, name) => {
  progress(`round ${round} of ${forPairs.rounds}: ${name}`)
})

const skipped: Skipped[] = []
const comparisons: Comparison[] = []

const peers = await loadPeers()
if (typeof peers === 'string') skipped.push({ case: 'codecs of other projects', skipped: peers })
const codecs = [...ourCodecs(native), ...(typeof peers === 'string' ? [] : peers)]
comparisons.push(...(await compareMessages(codecs, forComparisons, progress)))

const control = loadControl()
if (typeof control === 'string') skipped.push({ case: 'the C++ control', skipped: control })
else {
  progress('calls')
  comparisons.push(...(await callCosts(binding, control, forComparisons)))
}
comparisons.push(...(await scanGrid(binding, typeof control === 'string' ? null : control, forComparisons, progress)))
if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')

const rows = results.map((result, index) => ({
  ...result,
  group: cases[index].group,
  promised: cases[index].promised,
  shared: isShared(cases[index], native, typescriptCodec),
}))
const report: ChartReport = {
  title: 'liminal-bus codec',
  machine: `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${process.platform} ${process.arch}, Node ${process.version}`,
  date: new Date().toISOString().slice(0, 10),
  method:
    `Native over TypeScript: medians of ${forPairs.rounds} rounds in which the two codecs took turns. Operations are frames; for schema ids, schemas. ` +
    `Below, other codecs and a C++ addon: medians of ${forComparisons.rounds} rounds, each beginning with another one.`,
  rows,
}
const materialises = materialised(codecs)
const folder = new URL('../results/', import.meta.url)
mkdirSync(folder, { recursive: true })
writeFileSync(new URL('codec.html', folder), chartPage(report, comparisonSections(comparisons, skipped, materialises)))
writeFileSync(
  new URL('codec.json', folder),
  `${JSON.stringify({ ...report, comparisons, materialises, skipped }, null, 2)}\n`,
)

if (options.json) {
  const annotated = comparisons.map((comparison) =>
    comparison.per === 'message' ? { ...comparison, materialises: ofContenders(comparison) } : comparison,
  )
  console.log(JSON.stringify([...results, ...annotated, ...skipped], null, 2))
} else {
  printPairs(results)
  printComparisons(comparisons, skipped)
  console.log(`\nWhat decoding leaves in memory; byte fields are views everywhere`)
  for (const [name, what] of Object.entries(materialises)) console.log(`  ${name}: ${what}`)
  console.log(`\nCharts: ${fileURLToPath(new URL('codec.html', folder))}`)
}

function efforts(): [forPairs: Effort, forComparisons: Effort] {
  if (options.touch) {
    const least = { rounds: 1, seconds: 0.002, samples: 2 }
    return [least, least]
  }
  const samples = 10
  if (options.quick) {
    return [
      { rounds: 3, seconds: 0.05, samples },
      { rounds: 1, seconds: 0.01, samples },
    ]
  }
  return [
    { rounds: 7, seconds: 0.2, samples },
    { rounds: 3, seconds: 0.05, samples },
  ]
}

function ofContenders({ nanoseconds }: Comparison): Record<string, string> {
  return Object.fromEntries(Object.keys(nanoseconds).map((name) => [name, materialises[name]]))
}

function printPairs(pairs: readonly Result[]): void {
  const lines = pairs.map((result, index) => {
    const { promised, shared } = rows[index]
    const kept = promised === null ? '' : `${result.ratio >= promised ? 'keeps' : 'BREAKS'} >= ${promised.toFixed(1)}x`
    return [
      result.case,
      `${grouped(result.nativeOpsPerSecond)}/s`,
      `${grouped(result.typescriptOpsPerSecond)}/s`,
      `${result.ratio.toFixed(2)}x`,
      shared ? 'one path' : kept,
    ]
  })
  printColumns([['case', 'native', 'TypeScript', 'ratio', ''], ...lines])
}

function progress(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${what}`)
}

function grouped(value: number): string {
  return value.toLocaleString('en-US')
}
