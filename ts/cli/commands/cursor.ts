import type { Command } from 'commander'
import type { CursorInfo, StartPosition } from '../../bus/index.ts'
import { withBus } from '../connection.ts'
import type { CommandContext } from '../context.ts'
import { type ConnectionOptions, withConnection, withExamples } from '../options.ts'
import { START_HELP, startPosition } from '../start.ts'
import { shown, tableLines } from '../table.ts'
import { visible } from '../visible.ts'

/** `liminal cursor`: looks at the named cursors of durable channels, and sets them right. */
export function addCursor(program: Command, context: CommandContext): void {
  const cursor = program.command('cursor').description('look at the cursors of durable channels, move and remove them')
  addList(cursor, context)
  addSet(cursor, context)
  addRemove(cursor, context)
}

function addList(parent: Command, context: CommandContext): void {
  const command = parent
    .command('ls')
    .description('list cursors, and how far each is behind')
    .argument('[channel]', 'only those of this channel')
    .action((channel: string | undefined, options: ConnectionOptions) => list(channel, options, context))
  withExamples(withConnection(command), [
    ['liminal cursor ls', 'those of all channels'],
    ['liminal cursor ls orders --json', 'one line of JSON each'],
  ])
}

function addSet(parent: Command, context: CommandContext): void {
  const command = parent
    .command('set')
    .description('move a cursor, or make it; whoever owns it loses it')
    .argument('<channel>', 'the channel')
    .argument('<cursor>', 'the cursor')
    .argument('<where>', START_HELP, startPosition)
    .action((channel: string, cursor: string, to: StartPosition, options: ConnectionOptions) =>
      set(channel, cursor, to, options, context),
    )
  withExamples(withConnection(command), [
    ['liminal cursor set orders billing earliest', 'everything that is still there once more'],
    ['liminal cursor set orders billing 1000', 'from position 1000 on'],
    ['liminal cursor set orders billing latest', 'nothing of what is there'],
  ])
}

function addRemove(parent: Command, context: CommandContext): void {
  const command = parent
    .command('rm')
    .description('forget a cursor; whoever owns it loses it')
    .argument('<channel>', 'the channel')
    .argument('<cursor>', 'the cursor')
    .action((channel: string, cursor: string, options: ConnectionOptions) => remove(channel, cursor, options, context))
  withExamples(withConnection(command), [['liminal cursor rm orders billing', 'it keeps no message any more']])
}

async function list(channel: string | undefined, options: ConnectionOptions, context: CommandContext): Promise<void> {
  await withBus(options, context, async ({ administration }, { output, signal }) => {
    const cursors = await administration.cursors(channel, { signal })
    if (output.json) for (const cursor of cursors) output.printJson(cursorJson(cursor))
    else {
      const rows = cursors.map((cursor) => [
        cursor.channel,
        cursor.name,
        shown(cursor.position),
        shown(cursor.lag),
        cursor.owned ? 'yes' : 'no',
      ])
      for (const line of tableLines([['CHANNEL', 'CURSOR', 'POSITION', 'LAG', 'OWNED'], ...rows])) output.print(line)
    }
  })
}

async function set(
  channel: string,
  cursor: string,
  to: StartPosition,
  options: ConnectionOptions,
  context: CommandContext,
): Promise<void> {
  await withBus(options, context, async ({ administration }, { output, signal }) => {
    const moved = await administration.setCursor(channel, cursor, to, { signal })
    if (output.json) output.printJson(cursorJson(moved))
    else output.print(`cursor ${visible(cursor)} of ${visible(channel)} is at ${moved.position}, ${moved.lag} to go`)
  })
}

async function remove(
  channel: string,
  cursor: string,
  options: ConnectionOptions,
  context: CommandContext,
): Promise<void> {
  await withBus(options, context, async ({ administration }, { output, signal }) => {
    await administration.removeCursor(channel, cursor, { signal })
    if (output.json) output.printJson({ channel, cursor, removed: true })
    else output.print(`cursor ${visible(cursor)} of ${visible(channel)} is forgotten`)
  })
}

function cursorJson({ position, lag, ...others }: CursorInfo) {
  return { ...others, position: position.toString(), lag: lag.toString() }
}
