import type { Command } from 'commander'
import { decode, encode } from '../../codec/index.ts'
import { LiminalError, ProtocolError } from '../../errors.ts'
import type { CommandContext } from '../context.ts'
import { usageError } from '../failure.ts'
import { frameFromJson, frameToJson, type JsonValue } from '../frame-json.ts'
import { withExamples, withOutput } from '../options.ts'

/** `liminal frame decode|encode`: the wire as readable JSON, and back. Needs no server. */
export function addFrame(program: Command, context: CommandContext): void {
  const frame = program.command('frame').description('read and write frames of the wire: hex and JSON')

  withExamples(
    withOutput(
      frame
        .command('decode')
        .description('hex to JSON; any number of frames back to back, white space allowed')
        .argument('[hex...]', 'the frames (default: read from stdin)')
        .action(async (hex: string[]) => decodeFrames(hex, context)),
    ),
    [
      ['liminal frame decode 13000000000000000000', 'a Ping'],
      ['xxd -p capture.bin | liminal frame decode --json', 'one line per frame'],
    ],
  )

  withExamples(
    withOutput(
      frame
        .command('encode')
        .description('JSON, as decode prints it, to hex: one line per frame')
        .argument('[json...]', 'frames, or arrays of frames (default: read from stdin)')
        .action(async (json: string[]) => encodeFrames(json, context)),
    ),
    [
      [`liminal frame encode '{"type":"Ping","streamId":0}'`, 'hex of a Ping'],
      ['liminal frame decode 1300... | liminal frame encode', 'there and back'],
    ],
  )
}

async function decodeFrames(hex: readonly string[], context: CommandContext): Promise<void> {
  const bytes = bytesOfHex(hex.length > 0 ? hex.join('') : await readText(context))
  const frames: JsonValue[] = []
  let offset = 0
  try {
    while (offset < bytes.length) {
      const { frame, length } = decode(bytes, offset)
      frames.push(frameToJson(frame))
      offset += length
    }
  } catch (error) {
    // What was readable before the broken frame helps to find out why it is broken.
    printFrames(frames, context)
    if (!(error instanceof ProtocolError)) throw error
    const where = `frame ${frames.length + 1}, at byte ${offset}`
    throw new ProtocolError(error.code, error.reasonCode, `${where}: ${error.message}`, { cause: error })
  }
  printFrames(frames, context)
}

function printFrames(frames: readonly JsonValue[], { output }: CommandContext): void {
  if (output.json) for (const frame of frames) output.printJson(frame)
  else if (frames.length > 0) output.print(JSON.stringify(frames.length === 1 ? frames[0] : frames, null, 2))
}

async function encodeFrames(json: readonly string[], context: CommandContext): Promise<void> {
  const documents = json.length > 0 ? json.flatMap(framesOfJson) : framesOfJson(await readText(context))
  documents.forEach((document, index) => {
    try {
      const hex = Buffer.from(encode(frameFromJson(document))).toString('hex')
      if (context.output.json) context.output.printJson({ hex })
      else context.output.print(hex)
    } catch (error) {
      if (documents.length === 1 || !(error instanceof LiminalError)) throw error
      const message = `frame ${index + 1} of ${documents.length}: ${error.message}`
      if (error instanceof ProtocolError)
        throw new ProtocolError(error.code, error.reasonCode, message, { cause: error })
      throw new LiminalError(error.code, message, { cause: error })
    }
  })
}

function bytesOfHex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, '')
  const wrong = digits.search(/[^0-9a-fA-F]/)
  if (wrong !== -1) throw usageError(`${JSON.stringify(digits[wrong])} is not a hex digit (digit ${wrong + 1})`)
  if (digits.length % 2 !== 0) throw usageError(`hex digits come in pairs; there are ${digits.length}`)
  if (digits.length === 0) throw usageError('there is nothing to decode: give hex as an argument or on stdin')
  return Buffer.from(digits, 'hex')
}

/** One document, an array of them, or one on each line. */
function framesOfJson(text: string): unknown[] {
  if (text.trim() === '') throw usageError('there is nothing to encode: give JSON as an argument or on stdin')
  const whole = parsed(text)
  if (!(whole instanceof Error)) return Array.isArray(whole.value) ? whole.value : [whole.value]
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  if (lines.length === 1) throw usageError(`this is not JSON: ${whole.message}`, { cause: whole })
  return lines.map((line, index) => {
    const document = parsed(line)
    if (!(document instanceof Error)) return document.value
    throw usageError(`neither the input nor its line ${index + 1} is JSON: ${document.message}`, { cause: document })
  })
}

function parsed(text: string): { readonly value: unknown } | SyntaxError {
  try {
    return { value: JSON.parse(text) }
  } catch (error) {
    if (error instanceof SyntaxError) return error
    throw error
  }
}

// Larger captures are cut before they are read: this command holds all frames at once.
const MAX_INPUT_BYTES = 256 * 1024 * 1024

async function readText({ stdin }: CommandContext): Promise<string> {
  if (stdin.isTTY === true) throw usageError('give the input as an argument, or on stdin')
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stdin) {
    length += chunk.length
    if (length > MAX_INPUT_BYTES) throw usageError(`stdin has more than ${MAX_INPUT_BYTES} bytes; decode it in parts`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
