#!/usr/bin/env node
import { extname, relative } from 'node:path'
import { Interrupted } from './context.ts'
import { type EndingSignal, ExitCode, exitCodeOf, exitCodeOfSignal } from './exit-codes.ts'
import { hasFlag } from './options.ts'
import { Output } from './output.ts'

/** Run as a file, as `npm start` does in a clone, it is not on the PATH, and npx would install and build the clone once more. */
function invocationOf(script: string): string {
  if (extname(script) !== '.js') return 'npx liminal'
  const path = relative(process.cwd(), script)
  return `node ${/^[\w./-]+$/.test(path) ? path : JSON.stringify(path)}`
}

const argv = process.argv.slice(2)
const streams = { stdout: process.stdout, stderr: process.stderr, environment: process.env }
const interrupted = new AbortController()

function end(signal: EndingSignal): void {
  // The first signal asks for an orderly end, the second one does not wait for it.
  if (interrupted.signal.aborted) process.exit(exitCodeOfSignal(signal))
  interrupted.abort(new Interrupted(signal))
}
process.on('SIGINT', () => end('SIGINT'))
process.on('SIGTERM', () => end('SIGTERM'))

// A reader that has seen enough, as `liminal sub orders | head` has, is no failure; there is nobody left to write to.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? ExitCode.OK : ExitCode.FAILED)
  })
}

// The codec is chosen when its module is loaded; what LIMINAL_CODEC forces and cannot be had is told like any other failure.
const { run } = await import('./program.ts').catch((error: unknown) => {
  new Output({ ...streams, json: hasFlag(argv, '--json'), verbose: hasFlag(argv, '--verbose') }).fail(error)
  return process.exit(exitCodeOf(error))
})
const code = await run({
  argv,
  stdin: process.stdin,
  ...streams,
  invocation: invocationOf(process.argv[1]),
  signal: interrupted.signal,
})
// Everything is closed and written. An open stdin, a terminal's for one, must not keep the process.
process.exit(code)
