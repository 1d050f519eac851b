import type { Command } from 'commander'
import type { Channel, Receipt } from '../../bus/index.ts'
import { confirmSent } from '../confirm-sent.ts'
import { withBus } from '../connection.ts'
import type { CommandContext } from '../context.ts'
import { usageError } from '../failure.ts'
import { type ConnectionOptions, integer, readArgumentFile, withConnection, withExamples } from '../options.ts'
import { payloadOf, type ValueKind } from '../payload.ts'
import { publishLines } from '../publish-lines.ts'

interface PubOptions extends ConnectionOptions {
  readonly text?: true
  readonly bytes?: true
  readonly file?: string
  readonly ndjson?: true
  readonly key?: string
  readonly keyField?: string
  readonly send?: true
  readonly inFlight: number
}

/** `liminal pub`: publishes values, a file or a stream of JSON lines. */
export function addPub(program: Command, context: CommandContext): void {
  const command = program
    .command('pub')
    .description('publish to a channel: values, a file, or JSON lines from stdin')
    .argument('<channel>', 'where to publish')
    .argument(
      '[values...]',
      'one message each, as JSON unless told otherwise; put -- before a value that starts with -',
    )
    .option('--text', 'values are plain text and are published as JSON strings')
    .option('--bytes', 'values are hex and are published as bytes')
    .option('--file <path>', 'publish the content of a file, untouched, as one message')
    .option('--ndjson', 'publish each line of stdin, untouched, as one message; blank lines are skipped')
    .option('--key <key>', 'idempotency key: repeated within two minutes, the message has no second effect')
    .option('--key-field <name>', "with --ndjson: take each message's idempotency key from this field")
    .option('--send', 'ask for no acknowledgement of each message; what was refused is reported at the end')
    .option('--in-flight <n>', 'publishes underway at the same time', integer(1, 65_536), 1_024)
    .action((channel: string, values: string[], options: PubOptions) => publish(channel, values, options, context))
  withExamples(withConnection(command), [
    [`liminal pub orders '{"id":1}'`, 'one message'],
    [`liminal pub orders --key o-1 '{"id":1}'`, 'the same, at most once'],
    ['liminal pub orders --ndjson < orders.ndjson', 'one message per line, in order, each acknowledged'],
    ['liminal pub notes --text "good morning"', 'plain text, as a JSON string'],
  ])
}

async function publish(
  name: string,
  values: readonly string[],
  options: PubOptions,
  context: CommandContext,
): Promise<void> {
  checkCombination(values, options)
  if (options.ndjson === true) {
    if (context.stdin.isTTY === true) context.output.note('reading JSON lines from the terminal; Ctrl-D ends them')
    await withBus(options, context, (bus, connected) =>
      publishLines(bus.channel<Uint8Array>(name, { payload: 'bytes' }), connected, {
        inFlight: options.inFlight,
        keyField: options.keyField ?? null,
        acknowledged: options.send !== true,
      }),
    )
    return
  }
  const payloads =
    options.file === undefined
      ? values.map((value) => payloadOf(value, kindOf(options)))
      : [readArgumentFile(options.file)]
  await withBus(options, context, (bus, connected) =>
    publishPayloads(bus.channel<Uint8Array>(name, { payload: 'bytes' }), payloads, options, connected),
  )
}

async function publishPayloads(
  channel: Channel<Uint8Array>,
  payloads: readonly Uint8Array[],
  options: PubOptions,
  { output, signal }: CommandContext,
): Promise<void> {
  const key = options.key === undefined ? {} : { idempotencyKey: options.key }
  for (const payload of payloads) {
    if (options.send === true) {
      await channel.ready({ signal })
      channel.send(payload, key)
      continue
    }
    const receipt = await channel.publish(payload, { signal, ...key })
    if (output.json) output.printJson(receiptJson(receipt))
    else output.print(receiptText(channel.name, receipt))
  }
  if (options.send === true) await confirmSent(channel)
}

function receiptJson(receipt: Receipt) {
  const { messageId, position, ...others } = receipt
  return { messageId: messageId.toString(), position: position?.toString() ?? null, ...others }
}

function receiptText(channel: string, receipt: Receipt): string {
  const { messageId, position, delivered, deliveredTo, duplicate } = receipt
  const reached = !delivered
    ? 'no subscriber was there'
    : deliveredTo === null
      ? 'delivered'
      : `delivered to ${deliveredTo} subscriber${deliveredTo === 1 ? '' : 's'}`
  const at = position === null ? '' : ` at position ${position}`
  return `published ${messageId} to ${channel}${at}: ${duplicate ? 'a duplicate; of the original: ' : ''}${reached}`
}

function kindOf(options: PubOptions): ValueKind {
  if (options.text === true) return 'text'
  return options.bytes === true ? 'bytes' : 'json'
}

function checkCombination(values: readonly string[], options: PubOptions): void {
  const sources = [values.length > 0, options.file !== undefined, options.ndjson === true].filter(Boolean).length
  if (sources === 0) throw usageError('nothing to publish: give a value, --file or --ndjson')
  if (sources > 1) throw usageError('give values, --file or --ndjson, only one of them')
  if (options.text === true && options.bytes === true) throw usageError('give --text or --bytes, not both')
  if ((options.text === true || options.bytes === true) && values.length === 0) {
    throw usageError(
      '--text and --bytes say what the values are; with --file and --ndjson the input is published untouched',
    )
  }
  if (options.keyField !== undefined && options.ndjson !== true)
    throw usageError('--key-field needs --ndjson; there is --key')
  if (options.key !== undefined && (options.ndjson === true || values.length > 1)) {
    throw usageError('--key is the key of one message; there is --key-field for --ndjson')
  }
}
