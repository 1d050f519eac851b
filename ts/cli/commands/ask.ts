import type { Command } from 'commander'
import { withBus } from '../connection.ts'
import type { CommandContext } from '../context.ts'
import { type ConnectionOptions, milliseconds, withConnection, withExamples } from '../options.ts'
import { describedPayload, payloadOf, readablePayload } from '../payload.ts'

interface AskOptions extends ConnectionOptions {
  readonly text?: true
  readonly timeout: number
}

/** `liminal ask`: one request, one reply. */
export function addAsk(program: Command, context: CommandContext): void {
  const command = program
    .command('ask')
    .description('ask whoever answers a subject, and print the reply')
    .argument('<subject>', 'whom to ask')
    .argument('<value>', 'the request, as JSON; put -- before a value that starts with -')
    .option('--text', 'the request is plain text and is sent as a JSON string')
    .option('--timeout <ms>', 'how long to wait for the reply', milliseconds, 5_000)
    .action((subject: string, value: string, options: AskOptions) => ask(subject, value, options, context))
  withExamples(withConnection(command), [
    [`liminal ask echo '{"hello":"world"}'`, 'prints {"hello":"world"}'],
    ['liminal ask greet --text Ada --timeout 500', 'exit code 4 if nobody answers within half a second'],
  ])
}

async function ask(subject: string, value: string, options: AskOptions, context: CommandContext): Promise<void> {
  const request = payloadOf(value, options.text === true ? 'text' : 'json')
  await withBus(options, context, async (bus, { output, signal }) => {
    const startedAt = performance.now()
    const reply = await bus.ask<Uint8Array>(subject, request, { payload: 'bytes', timeoutMs: options.timeout, signal })
    const milliseconds = performance.now() - startedAt
    if (output.json) output.printJson({ subject, ...describedPayload(reply), milliseconds })
    else output.print(readablePayload(reply))
  })
}
