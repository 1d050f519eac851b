import type { Command } from 'commander'
import type { ChannelInfo, LoggedMessage, StartPosition } from '../../bus/index.ts'
import { withBus } from '../connection.ts'
import type { CommandContext } from '../context.ts'
import { usageError } from '../failure.ts'
import { type ConnectionOptions, integer, withConnection, withExamples } from '../options.ts'
import { describedPayload, hexOf, readablePayload } from '../payload.ts'
import { logPosition, START_HELP, startPosition } from '../start.ts'
import { shown, shownTime, tableLines } from '../table.ts'
import { visible } from '../visible.ts'

interface PeekOptions extends ConnectionOptions {
  readonly from: StartPosition
  readonly limit: number
}

interface PurgeOptions extends ConnectionOptions {
  readonly before?: bigint
  readonly all?: true
}

/** `liminal channel`: looks at the channels of a server, and into their logs. */
export function addChannel(program: Command, context: CommandContext): void {
  const channel = program.command('channel').description('look at channels and their logs, purge and remove them')
  addList(channel, context)
  addInfo(channel, context)
  addPeek(channel, context)
  addPurge(channel, context)
  addRemove(channel, context)
}

function addList(parent: Command, context: CommandContext): void {
  const command = parent
    .command('ls')
    .description('list the channels of a server')
    .action((options: ConnectionOptions) => list(options, context))
  withExamples(withConnection(command), [
    ['liminal channel ls', 'one line each'],
    ['liminal channel ls --json', 'one line of JSON each'],
  ])
}

function addInfo(parent: Command, context: CommandContext): void {
  const command = parent
    .command('info')
    .description('say what a channel is and holds')
    .argument('<channel>', 'which one')
    .action((name: string, options: ConnectionOptions) => info(name, options, context))
  withExamples(withConnection(command), [['liminal channel info orders', 'its log, its subscribers, its cursors']])
}

function addPeek(parent: Command, context: CommandContext): void {
  const command = parent
    .command('peek')
    .description('print messages of a durable channel, which stay where they are')
    .argument('<channel>', 'which one')
    .option('--from <where>', START_HELP, startPosition, 'earliest')
    .option('--limit <n>', 'so many at most, and no more once they have 64 MiB', integer(1, 1_024), 10)
    .action((name: string, options: PeekOptions) => peek(name, options, context))
  withExamples(withConnection(command), [
    ['liminal channel peek orders', 'the oldest ten'],
    ['liminal channel peek orders --from latest --limit 3', 'the newest three'],
    ['liminal channel peek orders --from 120 --json', 'with message id, key, publisher and causal context'],
  ])
}

function addPurge(parent: Command, context: CommandContext): void {
  const command = parent
    .command('purge')
    .description('remove messages of a durable channel for good, those that cursors have not accepted too')
    .argument('<channel>', 'which one')
    .option('--before <position>', 'those before this position', logPosition)
    .option('--all', 'all of them')
    .action((name: string, options: PurgeOptions) => purge(name, options, context))
  withExamples(withConnection(command), [
    ['liminal channel purge orders --before 1000', 'position 1000 is the oldest then'],
    ['liminal channel purge orders --all', 'the log is empty; positions go on counting'],
  ])
}

function addRemove(parent: Command, context: CommandContext): void {
  const command = parent
    .command('rm')
    .description('remove a durable channel for good: messages, cursors and all; whoever subscribes to it is told')
    .argument('<channel>', 'which one')
    .action((name: string, options: ConnectionOptions) => remove(name, options, context))
  withExamples(withConnection(command), [['liminal channel rm orders', 'its name is free, and begins anew']])
}

async function list(options: ConnectionOptions, context: CommandContext): Promise<void> {
  await withBus(options, context, async ({ administration }, { output, signal }) => {
    const channels = await administration.channels({ signal })
    if (output.json) for (const channel of channels) output.printJson(channelJson(channel))
    else {
      const rows = channels.map((channel) => [
        channel.name,
        channel.sync ?? '-',
        shown(channel.subscribers),
        shown(messagesOf(channel)),
        shown(channel.bytes),
        shown(channel.next),
      ])
      for (const line of tableLines([['CHANNEL', 'SYNC', 'SUBSCRIBERS', 'MESSAGES', 'BYTES', 'NEXT'], ...rows])) {
        output.print(line)
      }
    }
  })
}

async function info(name: string, options: ConnectionOptions, context: CommandContext): Promise<void> {
  await withBus(options, context, async ({ administration }, { output, signal }) => {
    const channel = await administration.channel(name, { signal })
    if (output.json) {
      output.printJson(channelJson(channel))
      return
    }
    const durable = channel.durable ? `yes, sync '${channel.sync ?? '?'}'` : 'no'
    const facts = [
      ['channel', channel.name],
      ['durable', durable],
      ['subscribers', shown(channel.subscribers)],
      ['schema', channel.schemaId ?? '-'],
    ]
    if (channel.durable) {
      const cursors = await administration.cursors(name, { signal })
      facts.push(
        ['messages', shown(messagesOf(channel))],
        ['bytes', shown(channel.bytes)],
        ['first', `${shown(channel.first)}, of ${shownTime(channel.firstTimestamp)}`],
        ['next', `${shown(channel.next)}, behind ${shownTime(channel.lastTimestamp)}`],
        ...cursors.map(({ name: cursor, position, lag, owned }) => [
          'cursor',
          `${cursor} at ${position}, ${lag} to go${owned ? ', owned' : ''}`,
        ]),
      )
    }
    for (const [label, value] of facts) output.print(`${label.padEnd(12)}${visible(value)}`)
  })
}

async function peek(name: string, options: PeekOptions, context: CommandContext): Promise<void> {
  await withBus(options, context, async ({ administration }, { output, signal }) => {
    const { from, limit } = options
    const messages = await administration.peek(name, { from, limit, signal })
    for (const message of messages) {
      if (output.json) output.printJson(messageJson(message))
      else output.print(`${message.position}  ${shownTime(message.timestamp)}  ${readablePayload(message.payload)}`)
    }
  })
}

async function purge(name: string, options: PurgeOptions, context: CommandContext): Promise<void> {
  const { before, all } = options
  if ((before === undefined) === (all === undefined)) throw usageError('give --before <position>, or --all')
  await withBus(options, context, async ({ administration }, { output, signal }) => {
    const removed = await administration.purge(name, { signal, ...(before === undefined ? {} : { before }) })
    if (output.json) output.printJson({ channel: name, removed: removed.toString() })
    else output.print(`removed ${removed} message${removed === 1n ? '' : 's'} of ${visible(name)}`)
  })
}

async function remove(name: string, options: ConnectionOptions, context: CommandContext): Promise<void> {
  await withBus(options, context, async ({ administration }, { output, signal }) => {
    await administration.removeChannel(name, { signal })
    if (output.json) output.printJson({ channel: name, removed: true })
    else output.print(`channel ${visible(name)} is removed`)
  })
}

function messagesOf({ first, next }: ChannelInfo): bigint | null {
  return first === null || next === null ? null : next - first
}

function channelJson(channel: ChannelInfo) {
  const { first, next } = channel
  return { ...channel, first: first?.toString() ?? null, next: next?.toString() ?? null }
}

function messageJson({ position, messageId, schemaId, causal, payload, ...others }: LoggedMessage) {
  return {
    position: position.toString(),
    messageId: messageId.toString(),
    ...others,
    schemaId: hexOf(schemaId),
    parentId: causal.parentId,
    vectorClockEntry: causal.vectorClockEntry?.toString() ?? null,
    ...describedPayload(payload),
  }
}
