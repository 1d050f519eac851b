import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { DEFAULT_PORT } from '../protocol/index.ts'
import { usageError } from './failure.ts'

/** Where a server listens, and where clients connect, unless told otherwise. */
export const DEFAULT_HOST = '127.0.0.1'
const DEFAULT_URL = `liminal://${DEFAULT_HOST}:${DEFAULT_PORT}`

/** A parser of whole numbers for `command.option`. */
export function integer(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (!(value >= least && value <= most))
      throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`)
    return value
  }
}

/** Milliseconds up to a day, at least 1. */
export const milliseconds = integer(1, 24 * 60 * 60 * 1000)

/** Collects a repeatable option's values, in order. */
export function repeated(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}

/** What {@link withConnection} adds. */
export interface ConnectionOptions {
  readonly url: string
  readonly authToken?: string
}

/** The options of every command that connects to a server. */
export function withConnection(command: Command): Command {
  return withOutput(
    command
      .addOption(new Option('--url <url>', 'the server').env('LIMINAL_URL').default(DEFAULT_URL))
      .addOption(new Option('--auth-token <token>', 'what the server wants to see').env('LIMINAL_AUTH_TOKEN')),
  )
}

/** The options of every command. They are read before commander sees them, so that its errors obey them too. */
export function withOutput(command: Command): Command {
  return command
    .option('--json', 'JSON for machines: one document per line, errors too')
    .option('--verbose', 'say what led to an error')
}

/** A flag that the output needs before the command line is parsed. Everything behind `--` is a value. */
export function hasFlag(argv: readonly string[], flag: '--json' | '--verbose'): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end === -1 ? argv.length : end).includes(flag)
}

/** Reads a file that the command line names. @throws LiminalError `INVALID_ARGUMENT`. */
export function readArgumentFile(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw usageError(`cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}

/** Examples at the end of a command's help. */
export function withExamples(
  command: Command,
  examples: readonly (readonly [line: string, meaning: string])[],
): Command {
  const width = Math.max(...examples.map(([line]) => line.length))
  const lines = examples.map(([line, meaning]) => `  $ ${line.padEnd(width)}  # ${meaning}`)
  return command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`)
}
