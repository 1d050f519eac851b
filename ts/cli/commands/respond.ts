import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import { type Behaviour, echo } from '../../bus/index.ts'
import { CommandRunner } from '../command-runner.ts'
import { withLastingBus } from '../connection.ts'
import { type CommandContext, untilAborted } from '../context.ts'
import { usageError } from '../failure.ts'
import { type ConnectionOptions, integer, withConnection, withExamples } from '../options.ts'
import { payloadOf } from '../payload.ts'

interface RespondOptions extends ConnectionOptions {
  readonly echo?: true
  readonly exec?: string
  readonly reply?: string
  readonly concurrency: number
}

/** `liminal respond`: answers a subject until a signal ends it. */
export function addRespond(program: Command, context: CommandContext): void {
  const command = program
    .command('respond')
    .description('answer a subject until a signal ends it; requests underway are finished first')
    .argument('<subject>', 'what to answer')
    .option('--echo', 'reply with the request')
    .option('--exec <command>', 'run a shell command: the request on its stdin, JSON for the reply from its stdout')
    .option('--reply <json>', 'always the same reply')
    .option('--concurrency <n>', 'commands that run at the same time', integer(1, 1_024), availableParallelism())
    .action((subject: string, options: RespondOptions) => respond(subject, options, context))
  withExamples(withConnection(command), [
    ['liminal respond echo --echo', 'try it: liminal ask echo 1'],
    [`liminal respond total --exec "jq '[.items[].price] | add'"`, 'a command as a responder'],
    [`liminal respond ready --reply '{"ready":true}'`, 'a fixed answer'],
  ])
}

async function respond(subject: string, options: RespondOptions, context: CommandContext): Promise<void> {
  const behaviour = behaviourOf(options)
  const { output, signal } = context
  await withLastingBus(options, context, async (bus) => {
    const responder = bus.respond<Uint8Array>(subject, behaviour, { payload: 'bytes' })
    try {
      await responder.ready()
      output.note(`responding to ${subject}`)
      await untilAborted(signal)
    } finally {
      await responder.close()
    }
  })
}

function behaviourOf({ echo: echoes, exec, reply, concurrency }: RespondOptions): Behaviour<Uint8Array> {
  const given = [echoes === true, exec !== undefined, reply !== undefined].filter(Boolean).length
  if (given !== 1) throw usageError('say how to answer: --echo, --exec <command> or --reply <json>, one of them')
  if (reply !== undefined) {
    const bytes = payloadOf(reply, 'json')
    return () => bytes
  }
  if (exec === undefined) return echo
  const runner = new CommandRunner(exec, concurrency)
  return (request, { signal }) => runner.run(request, signal)
}
