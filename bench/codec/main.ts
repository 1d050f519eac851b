/**
 * The codec benchmark: native against TypeScript, same inputs, one run.
 *
 *     npm run bench:codec              a table for people
 *     npm run bench:codec -- --json    an array of {case, nativeOpsPerSecond, typescriptOpsPerSecond, ratio}, ops = frames
 *     npm run bench:codec -- --quick   a tenth of the time, for a first look
 *
 * Always writes bench/results/codec.html and bench/results/codec.json.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { codecInfo, nativeCodec, typescriptCodec } from '../../ts/codec/index.ts'
import { type ChartReport, chartPage } from '../report/page.ts'
import { cases } from './cases.ts'
import { isShared, measure, type Result } from './measure.ts'

const { values: options } = parseArgs({
  options: { json: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false } },
})

if (nativeCodec === null) {
  const tried = codecInfo().tried.map(({ from, error }) => `${from}: ${error}`)
  throw new Error(`There is no native codec to measure; run npm run build:native. ${tried.join('; ')}`)
}
const native = nativeCodec

const effort = options.quick ? { rounds: 3, seconds: 0.05 } : { rounds: 7, seconds: 0.2 }
const results = await measure(cases, native, typescriptCodec, effort, (round, name) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[Kround ${round} of ${effort.rounds}: ${name}`)
})
if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')

const rows = results.map((result, index) => ({
  ...result,
  group: cases[index].group,
  promised: cases[index].promised,
  shared: isShared(cases[index], native, typescriptCodec),
}))
const report: ChartReport = {
  title: 'liminal-bus codec: native over TypeScript',
  machine: `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${process.platform} ${process.arch}, Node ${process.version}`,
  date: new Date().toISOString().slice(0, 10),
  method: `Medians of ${effort.rounds} rounds in which the two codecs took turns. Operations are frames; for schema ids, schemas.`,
  rows,
}
const folder = new URL('../results/', import.meta.url)
mkdirSync(folder, { recursive: true })
writeFileSync(new URL('codec.html', folder), chartPage(report))
writeFileSync(new URL('codec.json', folder), `${JSON.stringify(report, null, 2)}\n`)

if (options.json) console.log(JSON.stringify(results, null, 2))
else printTable(results)

function printTable(results: readonly Result[]): void {
  const header = ['case', 'native', 'TypeScript', 'ratio', '']
  const lines = results.map((result, index) => {
    const { promised, shared } = rows[index]
    const note = shared
      ? 'one path'
      : promised === null
        ? ''
        : `${result.ratio >= promised ? 'keeps' : 'BREAKS'} >= ${promised.toFixed(1)}x`
    return [
      result.case,
      `${grouped(result.nativeOpsPerSecond)}/s`,
      `${grouped(result.typescriptOpsPerSecond)}/s`,
      `${result.ratio.toFixed(2)}x`,
      note,
    ]
  })
  const widths = header.map((_cell, column) => Math.max(...[header, ...lines].map((line) => line[column].length)))
  for (const line of [header, ...lines]) {
    const cells = line.map((cell, column) =>
      column === 0 || column === 4 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
    )
    console.log(cells.join('  ').trimEnd())
  }
  console.log(`\nChart: ${fileURLToPath(new URL('codec.html', folder))}`)
}

function grouped(value: number): string {
  return value.toLocaleString('en-US')
}
