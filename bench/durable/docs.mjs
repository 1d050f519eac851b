import { readFileSync, writeFileSync } from 'node:fs'

const FILE = new URL('../../docs/performance.md', import.meta.url)
const BEGIN = '<!-- durable:begin: npm run bench:durable -- --docs writes what is between these lines -->'
const END = '<!-- durable:end -->'

/** Replaces the tables in docs/performance.md. @throws Error if it has no marks for them. */
export function writeDocs(report) {
  const text = readFileSync(FILE, 'utf8')
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END)
  if (begin === -1 || end < begin) throw new Error(`docs/performance.md lacks the lines ${BEGIN} and ${END}.`)
  writeFileSync(FILE, `${text.slice(0, begin + BEGIN.length)}\n\n${markdown(report)}\n\n${text.slice(end)}`)
}

function markdown(report) {
  const { machine, date, runs, seconds, load, publishing = {}, catchingUp = {}, recovery = {} } = report
  const parts = [
    `${date.slice(0, 10)}, ${machine}. Medians of ${runs} interleaved runs of ${seconds} s. Load average up to ${load}.`,
  ]
  const inFlights = Object.keys(publishing)
  if (inFlights.length > 0) {
    const systems = Object.keys(publishing[inFlights[0]])
    const rows = systems.map((system) => [
      system,
      ...inFlights.map((inFlight) => {
        const { perSecond, p50Us, p99Us } = publishing[inFlight][system]
        return `${number(perSecond)}/s, ${milliseconds(p50Us)} / ${milliseconds(p99Us)} ms`
      }),
    ])
    const head = ['acknowledged, p50 / p99', ...inFlights.map((inFlight) => `${inFlight} in flight`)]
    parts.push(table(head, rows))
  }
  const caughtUp = Object.entries(catchingUp)
  if (caughtUp.length > 0) {
    const rows = caughtUp.map(([system, { messages, perSecond }]) => [
      system,
      number(messages),
      `${number(perSecond)}/s`,
    ])
    parts.push(table(['catching up', 'messages', 'read'], rows))
  }
  const recovered = Object.values(recovery)
  if (recovered.length > 0) {
    const rows = recovered.map((found) => [
      `${number(found.messages)} messages, ${number(found.conversations)} conversations`,
      ...[found.readyMs, found.publishedMs, found.askedAgainMs, found.serverListeningMs].map(number),
    ])
    const head = ['after `kill -9`, ms', 'bus ready', 'first publish', 'all asked again', 'server listens']
    parts.push(table(head, rows))
  }
  return parts.join('\n\n')
}

function number(value) {
  return Math.round(value).toLocaleString('en-US')
}

function milliseconds(microseconds) {
  return Number((microseconds / 1_000).toPrecision(2))
}

function table(head, rows) {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
