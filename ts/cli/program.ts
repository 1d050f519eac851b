import { readFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { Command, CommanderError } from 'commander'
import { LiminalError } from '../errors.ts'
import { addAsk } from './commands/ask.ts'
import { addBench } from './commands/bench.ts'
import { addChannel } from './commands/channel.ts'
import { addCursor } from './commands/cursor.ts'
import { addDemo } from './commands/demo.ts'
import { addFrame } from './commands/frame.ts'
import { addPub } from './commands/pub.ts'
import { addRespond } from './commands/respond.ts'
import { addServe } from './commands/serve.ts'
import { addSub } from './commands/sub.ts'
import { type CommandContext, Interrupted } from './context.ts'
import { EXIT_CODES_HELP, ExitCode, exitCodeOf, exitCodeOfSignal } from './exit-codes.ts'
import { usageError } from './failure.ts'
import { hasFlag } from './options.ts'
import { Output, type OutputStream } from './output.ts'

/** The world a command runs in. */
export interface RunOptions {
  /** The arguments, without the program's name. */
  readonly argv: readonly string[]
  readonly stdin: Readable & { readonly isTTY?: boolean }
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  readonly environment: Readonly<Record<string, string | undefined>>
  /** What the user types to run this program, for what is suggested next. Default `liminal`. */
  readonly invocation?: string
  /** Ends the command; its reason an {@link Interrupted}. */
  readonly signal: AbortSignal
}

/** Runs one command of `liminal` and resolves with the exit code; never rejects. All output has left when it resolves. */
export async function run(options: RunOptions): Promise<number> {
  const { argv, stdin, stdout, stderr, environment, invocation = 'liminal', signal } = options
  const json = hasFlag(argv, '--json')
  const output = new Output({ stdout, stderr, json, verbose: hasFlag(argv, '--verbose'), environment })
  const code = await attempt(argv, { output, stdin, environment, invocation, signal })
  await output.flush()
  return code
}

async function attempt(argv: readonly string[], context: CommandContext): Promise<number> {
  try {
    await createProgram(context).parseAsync([...argv], { from: 'user' })
    return ExitCode.OK
  } catch (error) {
    const { reason } = context.signal
    if (error instanceof LiminalError && error.code === 'ABORTED' && reason instanceof Interrupted) {
      return exitCodeOfSignal(reason.signal)
    }
    const failure = error instanceof CommanderError ? usageFailure(error) : error
    if (failure === null) return ExitCode.OK
    context.output.fail(failure)
    return exitCodeOf(failure)
  }
}

/** Commander says by an error that it printed help, too: that is none. */
function usageFailure(error: CommanderError): LiminalError | null {
  if (error.exitCode === 0) return null
  if (error.code === 'commander.help') return usageError('no command given; see liminal --help')
  return usageError(`${error.message.replace(/^error: /, '').replace(/\s+/g, ' ')}; see --help of the command`, {
    cause: error,
  })
}

function createProgram(context: CommandContext): Command {
  const program = new Command('liminal')
    .description('liminal-bus: channels, conversations and a server for them')
    .version(packageVersion())
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.output.print(text.trimEnd()),
      // Errors are printed once, by `fail`. What is left is the help that commander shows where no command is given.
      writeErr: (text) => context.output.note(text.trimEnd()),
      outputError: () => undefined,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText('after', `\n${EXIT_CODES_HELP}\n\nA first try, in two terminals:\n${FIRST_TRY}`)
  addServe(program, context)
  addPub(program, context)
  addSub(program, context)
  addAsk(program, context)
  addRespond(program, context)
  addChannel(program, context)
  addCursor(program, context)
  addBench(program, context)
  addFrame(program, context)
  addDemo(program, context)
  return program
}

const FIRST_TRY = `  $ liminal serve --channel orders --echo
  $ liminal ask echo '{"hello":"world"}'`

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown'
}
