import { type Command, Option } from 'commander'
import { echo } from '../../bus/index.ts'
import type { ChannelDeclaration } from '../../channel/index.ts'
import { DEFAULT_PORT } from '../../protocol/index.ts'
import { createServer } from '../../server/index.ts'
import { type CommandContext, untilAborted } from '../context.ts'
import { usageError } from '../failure.ts'
import {
  DEFAULT_HOST,
  integer,
  milliseconds,
  readArgumentFile,
  repeated,
  withExamples,
  withOutput,
} from '../options.ts'
import { RETAIN_SYNTAX, type Retained, retained } from '../retention.ts'

interface ServeOptions {
  readonly host: string
  readonly port: number
  readonly channel: readonly string[]
  readonly durableChannel: readonly string[]
  readonly dataDir?: string
  readonly sync?: 'each' | 'interval' | 'os'
  readonly retain: readonly Retained[]
  readonly administration: boolean
  readonly createChannels?: true
  readonly authToken?: string
  readonly echo?: true
  readonly deliver: boolean
  readonly grace: number
  readonly welcome?: true
}

/** `liminal serve`: a bus of its own behind a TCP port, until a signal ends it. */
export function addServe(program: Command, context: CommandContext): void {
  const command = program
    .command('serve')
    .description('serve a bus on TCP until SIGINT or SIGTERM; a second signal does not wait for clients')
    .option('--host <address>', 'address to listen on', DEFAULT_HOST)
    .option('--port <n>', 'port to listen on; 0 takes any free one', integer(0, 65_535), DEFAULT_PORT)
    .option(
      '--channel <name[=schema.json]>',
      'declare a channel, with a JSON Schema or without; repeatable',
      repeated,
      [],
    )
    .option(
      '--durable-channel <name[=schema.json]>',
      'the same for a durable one, which needs --data-dir; repeatable',
      repeated,
      [],
    )
    .addOption(
      new Option(
        '--data-dir <dir>',
        'where durable channels are stored; made if it is missing, and its channels are there again',
      ).env('LIMINAL_DATA_DIR'),
    )
    .addOption(
      new Option(
        '--sync <policy>',
        'when messages of the durable channels are on disk: before they are acknowledged (each, the default), soon, or when the system likes',
      ).choices(['each', 'interval', 'os']),
    )
    .option(
      `--retain <${RETAIN_SYNTAX}>`,
      'what of a durable channel is kept: messages go that are older, or more, or behind so many bytes, except those that a cursor still needs; repeatable',
      retained,
      [],
    )
    .option('--create-channels', 'let clients create channels by using them')
    .addOption(new Option('--auth-token <token>', 'what clients must present').env('LIMINAL_AUTH_TOKEN'))
    .option('--echo', 'answer the subject "echo" with whatever was asked')
    .option('--no-deliver', 'send no messages to subscribers, for clients of liminal 0.2.1')
    .option('--no-administration', 'let no client look at channels and cursors, purge or move them')
    .option('--grace <ms>', 'how long requests underway may take when the server is told to end', milliseconds, 5_000)
    .option('--welcome', 'for a first try: channel "orders", --create-channels, --echo, and what to type next')
    .action((options: ServeOptions) => serve(options, context))
  withExamples(withOutput(command), [
    ['liminal serve --channel orders', 'one channel, no other'],
    ['liminal serve --channel orders=orders.schema.json', 'messages are checked against a JSON Schema'],
    ['liminal serve --data-dir ./data --durable-channel orders', 'its messages survive the server'],
    ['liminal serve --data-dir ./data --durable-channel orders --retain orders:age=7d,bytes=10g', 'for a while'],
    ['liminal serve --port 0 --create-channels --json', 'any port; the address comes as a line of JSON'],
  ])
}

async function serve(options: ServeOptions, context: CommandContext): Promise<void> {
  const { output, invocation, signal } = context
  const welcome = options.welcome === true
  const { dataDir, sync } = options
  if (dataDir === undefined && options.durableChannel.length > 0) {
    throw usageError('--durable-channel needs --data-dir <dir>, where its messages are stored')
  }
  const durable = options.durableChannel.map((text) => {
    const declared = declaration(text)
    const retention = options.retain.find(({ name }) => name === declared.name)?.retention
    const how = { ...(sync === undefined ? {} : { sync }), ...(retention === undefined ? {} : { retention }) }
    return { ...declared, durable: how }
  })
  for (const { name } of options.retain) {
    if (!durable.some((channel) => channel.name === name)) {
      throw usageError(`--retain ${name}:... needs --durable-channel ${name}`)
    }
  }
  const channels = [...options.channel.map(declaration), ...durable]
  if (welcome && !channels.some(({ name }) => name === 'orders')) channels.push({ name: 'orders' })

  const server = await createServer({
    host: options.host,
    port: options.port,
    channels,
    createChannels: welcome || options.createChannels === true,
    deliver: options.deliver,
    administration: options.administration,
    ...(dataDir === undefined ? {} : { dataDir }),
    ...(options.authToken === undefined ? {} : { authToken: options.authToken }),
  })
  try {
    if (welcome || options.echo === true) await server.bus.respond('echo', echo, { payload: 'bytes' }).ready()
    const { address, url } = server
    if (output.json) output.printJson({ listening: { host: address.host, port: address.port, url } })
    else output.print(`${output.style('green', 'liminal')} listens on ${output.style('bold', url)}`)
    if (welcome && !output.json) for (const line of welcomeLines(invocation, url, options.port)) output.print(line)
    await untilAborted(signal)
    output.note('closing; press Ctrl-C again to end at once')
  } finally {
    await server.close({ graceMs: options.grace })
  }
}

function welcomeLines(invocation: string, url: string, port: number): string[] {
  // Commands connect to the default address by themselves.
  const at = port === DEFAULT_PORT ? '' : ` --url ${url}`
  return [
    '',
    'Try next, each in a terminal of its own, in this directory:',
    '',
    `  ${invocation} sub orders${at}`,
    `  ${invocation} pub orders '{"id":1}'${at}`,
    `  ${invocation} ask echo '{"hello":"world"}'${at}`,
    '',
    `${invocation} --help shows the rest. Ctrl-C ends the server.`,
  ]
}

/** `name` or `name=file` with the channel's JSON Schema. */
function declaration(text: string): ChannelDeclaration {
  const split = text.indexOf('=')
  if (split === -1) return { name: text }
  const path = text.slice(split + 1)
  try {
    return { name: text.slice(0, split), schema: JSON.parse(readArgumentFile(path).toString('utf8')) }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw usageError(`${path} is not JSON: ${error.message}`, { cause: error })
  }
}
