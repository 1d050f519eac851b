import type { Command } from 'commander'
import type { Delivery, StartPosition, SubscribeOptions, Subscription } from '../../bus/index.ts'
import { LiminalError } from '../../errors.ts'
import { withLastingBus } from '../connection.ts'
import { abortedBy, type CommandContext } from '../context.ts'
import { usageError } from '../failure.ts'
import { type ConnectionOptions, integer, milliseconds, withConnection, withExamples } from '../options.ts'
import { describedPayload, hexOf, parseJsonBytes, readablePayload } from '../payload.ts'
import { START_HELP, startPosition } from '../start.ts'
import { jsonLine } from '../visible.ts'

interface SubOptions extends ConnectionOptions {
  readonly ndjson?: true
  readonly count?: number
  readonly timeout?: number
  readonly from?: StartPosition
  readonly cursor?: string
  readonly maxAttempts?: number
}

type Messages = readonly Delivery<Uint8Array>[]

/** Messages of a cursor on their way to the output: those that are not printed go to the next owner. */
const CURSOR_IN_FLIGHT = 256

/** `liminal sub`: prints what is published on a channel. */
export function addSub(program: Command, context: CommandContext): void {
  const command = program
    .command('sub')
    .description('print what is published on a channel, until a signal ends it')
    .argument('<channel>', 'what to listen to')
    .option('--ndjson', 'print each message as one line, exactly as it was published')
    .option('--from <where>', `of a durable channel: ${START_HELP}`, startPosition)
    .option('--cursor <name>', 'of a durable channel: go on where this cursor is, and move it past what was printed')
    .option(
      '--max-attempts <n>',
      'with --cursor: after so many attempts a message goes to the dead-letter channel',
      integer(1, Number.MAX_SAFE_INTEGER),
    )
    .option('--count <n>', 'end after so many messages', integer(1, Number.MAX_SAFE_INTEGER))
    .option('--timeout <ms>', 'end with exit code 4 if it takes longer', milliseconds)
    .action((channel: string, options: SubOptions) => subscribe(channel, options, context))
  withExamples(withConnection(command), [
    ['liminal sub orders', 'print messages as they come'],
    ['liminal sub orders --ndjson > orders.ndjson', 'keep them, byte for byte'],
    ['liminal sub orders --count 1 --timeout 5000', 'wait for one message, 5 s at most'],
    ['liminal sub orders --from earliest', 'all that a durable channel still has, and what comes'],
    ['liminal sub orders --cursor audit --from earliest', 'the same, and next time from where this ended'],
    ['liminal sub orders --json', 'with sequence, schema id and causal context'],
  ])
}

async function subscribe(name: string, options: SubOptions, context: CommandContext): Promise<void> {
  if (options.maxAttempts !== undefined && options.cursor === undefined)
    throw usageError('--max-attempts needs --cursor')
  await withLastingBus(options, context, async (bus) => {
    const end = new EndOfWait(options.timeout)
    const channel = bus.channel<Uint8Array>(name, { payload: 'bytes' })
    const where: SubscribeOptions = {
      signal: context.signal,
      ...(options.from === undefined ? {} : { from: options.from }),
    }
    const { subscription, printing } =
      options.cursor === undefined
        ? printAll((handler) => channel.subscribe(handler, where), options, context, end)
        : printAsCursor((more) => channel.subscribe({ ...where, ...more }), options.cursor, options, context, end)
    // Who waits for it hears of it, whoever else is first.
    printing.catch(() => undefined)
    try {
      await Promise.race([subscription.ready(), end.promise])
      context.output.note(`subscribed to ${name}`)
      await Promise.race([printing, end.promise])
    } finally {
      end.clear()
      await subscription.close()
    }
    if (context.signal.aborted) throw abortedBy(context.signal)
  })
}

interface Printing {
  readonly subscription: Subscription<Uint8Array>
  /** Settles with the end of the subscription. */
  readonly printing: Promise<void>
}

/** Prints what comes, in batches. */
function printAll(
  subscribe: (handler: (messages: Messages) => Promise<void> | undefined) => Subscription<Uint8Array>,
  options: SubOptions,
  context: CommandContext,
  end: EndOfWait,
): Printing {
  const wanted = options.count ?? Number.POSITIVE_INFINITY
  const format = formatOf(options, context)
  let printed = 0
  // The handler's promise is what holds the publishers back while whoever reads our output is slow.
  const subscription = subscribe((deliveries) => {
    const messages = deliveries.length <= wanted - printed ? deliveries : deliveries.slice(0, wanted - printed)
    if (messages.length === 0) return undefined
    printed += messages.length
    const drained = context.output.write(format(messages))
    if (printed >= wanted) end.reached()
    return drained
  })
  return { subscription, printing: subscription.closed }
}

/** Prints what a cursor hands out, and accepts what was printed and nothing else. */
function printAsCursor(
  subscribe: (options: SubscribeOptions) => Subscription<Uint8Array>,
  name: string,
  options: SubOptions,
  context: CommandContext,
  end: EndOfWait,
): Printing {
  const { maxAttempts, count: wanted = Number.POSITIVE_INFINITY } = options
  const cursor = maxAttempts === undefined ? name : { name, maxAttempts }
  const format = formatOf(options, context)
  const subscription = subscribe({ cursor, accept: 'explicit', maxInFlight: Math.min(wanted, CURSOR_IN_FLIGHT) })
  const print = async (): Promise<void> => {
    let printed = 0
    for await (const delivery of subscription) {
      await context.output.write(format([delivery]))
      delivery.accept()
      printed++
      if (printed < wanted) continue
      await subscription.checkpoint()
      end.reached()
      return
    }
  }
  return { subscription, printing: print() }
}

/** What ends `sub` beside the subscription itself: enough messages, or too much time. */
class EndOfWait {
  readonly promise: Promise<void>
  #resolve: () => void = () => undefined
  #timer: NodeJS.Timeout | null = null

  constructor(timeoutMs: number | undefined) {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      if (timeoutMs === undefined) return
      const late = () => reject(new LiminalError('TIMEOUT', `not enough messages within ${timeoutMs} ms`))
      this.#timer = setTimeout(late, timeoutMs)
    })
    // It may fail while nobody waits yet; whoever waits later still gets the failure.
    this.promise.catch(() => undefined)
  }

  reached(): void {
    this.#resolve()
  }

  clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
  }
}

function formatOf(options: SubOptions, { output }: CommandContext): (messages: Messages) => Uint8Array {
  if (options.ndjson === true) return untouchedLines
  if (output.json)
    return (messages) => Buffer.from(messages.map((message) => `${jsonLine(described(message))}\n`).join(''))
  return (messages) => Buffer.from(messages.map(({ bytes }) => `${readablePayload(bytes)}\n`).join(''))
}

function described({ channel, sequence, position, attempt, schemaId, causal, bytes }: Delivery<Uint8Array>) {
  return {
    channel,
    sequence: sequence.toString(),
    ...(position === null ? {} : { position: position.toString(), attempt }),
    schemaId: hexOf(schemaId),
    parentId: causal.parentId,
    vectorClockEntry: causal.vectorClockEntry?.toString() ?? null,
    ...describedPayload(bytes),
  }
}

const NEWLINE = 0x0a
const SPACE = 0x20

/** The payloads as they are, a newline behind each, in one piece. */
function untouchedLines(messages: Messages): Uint8Array {
  const payloads = messages.map(({ bytes }) => bytes)
  const lines = Buffer.allocUnsafe(payloads.reduce((length, payload) => length + payload.length + 1, 0))
  let offset = 0
  for (const payload of payloads) {
    lines.set(payload.includes(NEWLINE) ? onOneLine(payload) : payload, offset)
    offset += payload.length + 1
    lines[offset - 1] = NEWLINE
  }
  return lines
}

/** JSON text over several lines. A newline is never inside of a JSON string, so a space in its place says the same. */
function onOneLine(payload: Uint8Array): Uint8Array {
  parseJsonBytes(payload)
  return payload.map((byte) => (byte === NEWLINE ? SPACE : byte))
}
