import { isDeepStrictEqual } from 'node:util'
import { type Codec, typescriptCodec } from '../../ts/codec/index.ts'
import { type Comparison, nanoseconds } from './comparison.ts'
import { sizeName } from './inputs.ts'
import { type Effort, takeTurns } from './measure.ts'
import { fullMessage, type Message, type MessageCodec, plainMessage } from './message.ts'
import { chunkOfFrames, singleFrames } from './ours.ts'

/** What a call handles: enough for a chunk to be a chunk, few enough for the caches. */
const MESSAGES = 64
const PAYLOADS = [16, 128, 1024, 4096, 65_536]

/** The codecs of this project as the comparison sees them: whole frame objects one by one, and a chunk to columns with less and less made of it. */
export function ourCodecs(native: Codec): MessageCodec[] {
  return [
    chunkOfFrames(native, 'columns'),
    chunkOfFrames(native, 'views'),
    chunkOfFrames(native, 'objects'),
    chunkOfFrames(typescriptCodec, 'columns'),
    chunkOfFrames(typescriptCodec, 'views'),
    singleFrames(typescriptCodec),
  ]
}

/** One logical message by all codecs, encoded and decoded. @throws Error if one does not give back what it was given. */
export async function compareMessages(
  codecs: readonly MessageCodec[],
  effort: Effort,
  onProgress: (name: string) => void,
): Promise<Comparison[]> {
  const inputs = PAYLOADS.map((payload) => ({ name: sizeName(payload), make: () => plainMessage(payload) }))
  inputs.splice(2, 0, { name: '128 B with key and origin', make: () => fullMessage(128, 100_000) })
  const encoded: Comparison[] = []
  const decoded: Comparison[] = []
  for (const { name, make } of inputs) {
    const messages = Array.from({ length: MESSAGES }, make)
    onProgress(`message ${name}`)
    const results = codecs.map((codec) => checkedBytes(codec, messages))
    encoded.push(await encoding(name, codecs, messages, results, effort))
    decoded.push(await decoding(name, codecs, results, effort))
  }
  return [...encoded, ...decoded]
}

/** What each codec leaves in memory, by its name. */
export function materialised(codecs: readonly MessageCodec[]): Record<string, string> {
  return Object.fromEntries(codecs.map(({ name, materialises }) => [name, materialises]))
}

async function encoding(
  name: string,
  codecs: readonly MessageCodec[],
  messages: readonly Message[],
  results: readonly (readonly Uint8Array[])[],
  effort: Effort,
): Promise<Comparison> {
  const contenders = codecs.flatMap(({ name, encoder }, index) =>
    encoder === null ? [] : [{ name, call: encoder(messages), bytes: results[index][0].length }],
  )
  const taken = await takeTurns(contenders, effort)
  return {
    group: 'Encode one message',
    case: `encode message ${name}`,
    per: 'message',
    nanoseconds: Object.fromEntries(
      contenders.map((contender, index) => [contender.name, nanoseconds(taken[index], messages.length)]),
    ),
    encodedBytes: Object.fromEntries(contenders.map((contender) => [contender.name, contender.bytes])),
  }
}

async function decoding(
  name: string,
  codecs: readonly MessageCodec[],
  results: readonly (readonly Uint8Array[])[],
  effort: Effort,
): Promise<Comparison> {
  const taken = await takeTurns(
    codecs.map((codec, index) => ({ name: codec.name, call: codec.decoder(results[index]) })),
    effort,
  )
  return {
    group: 'Decode one message',
    case: `decode message ${name}`,
    per: 'message',
    nanoseconds: Object.fromEntries(codecs.map((codec, index) => [codec.name, nanoseconds(taken[index], MESSAGES)])),
  }
}

/** The bytes of the messages, after seeing that they decode to the same messages. */
function checkedBytes(codec: MessageCodec, messages: readonly Message[]): Uint8Array[] {
  const encoded = codec.encode(messages)
  const decoded = codec.decode(encoded)
  messages.forEach((message, index) => {
    if (!isDeepStrictEqual(comparable(decoded[index]), comparable(message))) {
      throw new Error(`${codec.name} does not give back the message that it encoded`)
    }
  })
  return encoded
}

/** Plain arrays for the bytes: a Buffer and a Uint8Array of the same content are the same. */
function comparable(message: Message): object {
  const { schemaId, payload, ...rest } = message
  return { ...rest, schemaId: Buffer.from(schemaId).toString('hex'), payload: Buffer.from(payload).toString('hex') }
}
