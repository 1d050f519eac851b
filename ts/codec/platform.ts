import { readFileSync } from 'node:fs'

/** The name of this machine's platform package behind `liminal-bus-`: system, processor and, where there are several, C library. */
export function hostPlatform(): string {
  const machine = `${process.platform}-${process.arch}`
  if (process.platform === 'win32') return `${machine}-msvc`
  if (process.platform !== 'linux') return machine
  return `${machine}-${isMusl() ? 'musl' : 'gnu'}`
}

function isMusl(): boolean {
  // The loader's script says whose it is, in a tenth of the time that a process report takes.
  const script = readLinkerScript()
  if (script?.includes('musl')) return true
  if (script?.includes('GNU C Library')) return false
  // Known only to Node 22 and up; without it the report looks every open connection up in the name service.
  Object.assign(process.report, { excludeNetwork: true })
  const report: { header?: { glibcVersionRuntime?: string } } = process.report.getReport()
  return report.header?.glibcVersionRuntime === undefined
}

function readLinkerScript(): string | null {
  try {
    return readFileSync('/usr/bin/ldd', 'utf8')
  } catch {
    return null
  }
}
