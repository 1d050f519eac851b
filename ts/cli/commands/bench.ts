import { type Command, Option } from 'commander'
import { LiminalError } from '../../errors.ts'
import { type BenchOptions, type BenchReport, benchAsk, benchPubSub } from '../bench/index.ts'
import type { CommandContext } from '../context.ts'
import { integer, withExamples, withOutput } from '../options.ts'

interface BenchCommandOptions {
  readonly messages: number
  readonly size: number
  readonly publishers: number
  readonly subscribers: number
  readonly inFlight: number
  readonly url?: string
  readonly authToken?: string
  readonly channel?: string
  readonly subject?: string
  readonly unacknowledged?: true
}

/** `liminal bench pubsub|ask`: measures, and checks that nothing is lost. */
export function addBench(program: Command, context: CommandContext): void {
  const bench = program
    .command('bench')
    .description('measure a server, with publishers and subscribers in processes of their own')

  withExamples(
    withRun(bench.command('pubsub').description('publish to a channel, and check every message at every subscriber'), {
      publishers: 'processes that publish',
      subscribers: 'processes that subscribe',
      inFlight: [1_024, 'publishes awaiting their receipt, in each process'],
    })
      .option('--channel <name>', 'where to publish', 'bench')
      .option('--unacknowledged', 'publish without receipts, as fast as there is room')
      .action((options: BenchCommandOptions) =>
        report(context, (common) =>
          benchPubSub({ ...common, acknowledged: options.unacknowledged !== true, name: options.channel ?? 'bench' }),
        )(options),
      ),
    [
      ['liminal bench pubsub', 'one publisher, one subscriber, a server of its own'],
      ['liminal bench pubsub --messages 1000000 --subscribers 4', 'fan-out to four'],
      ['liminal bench pubsub --unacknowledged --json', 'the fastest way to publish, for machines'],
      ['liminal bench pubsub --url liminal://127.0.0.1:7777', 'a server that runs already'],
    ],
  )
  withExamples(
    withRun(bench.command('ask').description('ask a subject, and check every reply'), {
      publishers: 'processes that ask',
      subscribers: 'processes that respond',
      inFlight: [64, 'requests awaiting their reply, in each process'],
    })
      .option('--subject <name>', 'whom to ask', 'bench')
      .action((options: BenchCommandOptions) =>
        report(context, (common) => benchAsk({ ...common, name: options.subject ?? 'bench' }))(options),
      ),
    [
      ['liminal bench ask', 'one asker, one responder'],
      ['liminal bench ask --in-flight 1', 'the latency of a single request'],
    ],
  )
}

interface RunTexts {
  readonly publishers: string
  readonly subscribers: string
  readonly inFlight: readonly [fallback: number, meaning: string]
}

function withRun(command: Command, texts: RunTexts): Command {
  const [inFlight, meaning] = texts.inFlight
  return withOutput(
    command
      .option('--messages <n>', 'how many, in total', integer(1, 2 ** 32), 100_000)
      .option('--size <bytes>', 'payload of each', integer(16, 8 * 1024 * 1024), 128)
      .option('--publishers <n>', texts.publishers, integer(1, 256), 1)
      .option('--subscribers <n>', texts.subscribers, integer(1, 256), 1)
      .option('--in-flight <n>', meaning, integer(1, 65_536), inFlight)
      .option('--url <url>', 'a running server (default: a process of its own)')
      .addOption(new Option('--auth-token <token>', 'what the server wants to see').env('LIMINAL_AUTH_TOKEN')),
  )
}

function report(
  { output, signal }: CommandContext,
  run: (options: BenchOptions) => Promise<BenchReport>,
): (options: BenchCommandOptions) => Promise<void> {
  return async ({ messages, size, publishers, subscribers, inFlight, url, authToken }) => {
    const result = await run({
      messages,
      size,
      publishers,
      subscribers,
      inFlight,
      url: url ?? null,
      ...(authToken === undefined ? {} : { authToken }),
      signal,
      onProgress: (arrived, expected) =>
        output.progress(`${arrived.toLocaleString('en')} of ${expected.toLocaleString('en')} arrived`),
    })
    if (output.json) output.printJson(result)
    else for (const line of readable(result)) output.print(line)
    if (!result.passed) throw new LiminalError('INTERNAL', `the check failed: ${failures(result)}`)
  }
}

function readable(result: BenchReport): string[] {
  const { latencyMilliseconds: latency, peakRssBytes: rss, serverCpuMicrosecondsPerMessage: cpu } = result
  const whole = (value: number) => Math.round(value).toLocaleString('en')
  const ms = (value: number | null) => (value === null ? 'none' : `${value.toFixed(2)} ms`)
  const mib = (value: number | null) => (value === null ? 'not known' : `${whole(value / 1024 / 1024)} MiB`)
  const [from, to] = result.benchmark === 'ask' ? ['asker', 'responder'] : ['publisher', 'subscriber']
  return [
    `${result.benchmark}, ${result.mode}: ${whole(result.messages)} messages of ${result.size} bytes, ${result.publishers} ${from}(s), ${result.subscribers} ${to}(s), ${result.inFlight} in flight`,
    `  messages per second   ${whole(result.messagesPerSecond)} (${result.seconds.toFixed(2)} s)`,
    `  latency               p50 ${ms(latency.p50)}, p99 ${ms(latency.p99)}, max ${ms(latency.max)}`,
    `  server CPU            ${cpu === null ? 'not known' : `${cpu.toFixed(3)} µs per message, ${result.serverCodec} codec`}`,
    `  peak memory           server ${mib(rss.server)}, ${from} ${mib(rss.publisher)}, ${to} ${mib(rss.subscriber)}`,
    `  check                 ${result.passed ? `all ${whole(result.check.expected)} arrived, once, whole${result.benchmark === 'ask' ? '' : ', in order'}` : failures(result)}`,
  ]
}

function failures({ check }: BenchReport): string {
  const { lost, duplicates, outOfOrder, corrupt } = check
  return Object.entries({ lost, duplicates, outOfOrder, corrupt })
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count.toLocaleString('en')} ${what}`)
    .join(', ')
}
