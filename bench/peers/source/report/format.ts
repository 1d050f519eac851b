import type { Metric } from '../run/measurement.ts'

/** Three digits, with k or M. */
export function short(value: number): string {
  const size = Math.abs(value)
  if (size >= 999_500) return `${digits(value / 1e6)} M`
  if (size >= 999.5) return `${digits(value / 1e3)} k`
  return digits(value)
}

/** Three digits where that makes sense. */
export function digits(value: number): string {
  const size = Math.abs(value)
  if (size === 0) return '0'
  if (size >= 100) return String(Math.round(value))
  if (size >= 10) return value.toFixed(1)
  return value.toFixed(2)
}

/** What a metric is called in a table, and how its values are written. */
export const METRIC_FORMS: Readonly<
  Record<Metric, { readonly title: string; readonly text: (value: number) => string }>
> = {
  rate: { title: 'rate', text: short },
  serverCpu: { title: 'server us', text: digits },
  publisherCpu: { title: 'publisher us', text: digits },
  subscriberCpu: { title: 'subscriber us', text: digits },
  p50: { title: 'p50 us', text: whole },
  p99: { title: 'p99 us', text: whole },
  p999: { title: 'p99.9 us', text: whole },
  serverPeak: { title: 'server MiB', text: mebibytes },
  publisherPeak: { title: 'publisher MiB', text: mebibytes },
  subscriberPeak: { title: 'subscriber MiB', text: mebibytes },
  allocated: { title: 'heap B', text: digits },
  collecting: { title: 'GC ms/s', text: digits },
  connectionMemory: { title: 'KiB/connection', text: digits },
  idleCpu: { title: 'idle us/s', text: whole },
  foreign: { title: 'others', text: percent },
  stolen: { title: 'stolen', text: percent },
  load: { title: 'load', text: digits },
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

function mebibytes(value: number): string {
  return String(Math.round(value / 1024 ** 2))
}
