/**
 * Finds the sizes from which a call into the addon is worth its price: the numbers behind the cut-offs in ts/codec/native.ts.
 *
 *     npx tsx bench/codec/cutoffs.ts
 */
import { loadAddon } from '../../ts/codec/addon.ts'
import { createNameTable, typescriptCodec } from '../../ts/codec/index.ts'
import { highHalf, lowHalf } from '../../ts/codec/integers.ts'
import { scanFrames } from '../../ts/codec/scan.ts'
import { DEFAULT_MAX_FRAME_BYTES, type Frame, HEAD_WIDTH, ROW_WIDTH } from '../../ts/protocol/index.ts'
import { publishFrame, SCHEMA_ID } from './inputs.ts'

const { binding } = loadAddon()
if (binding === null) throw new Error('The native addon is missing; run npm run build:native')

const COUNTS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32]
const names = createNameTable()
names.add('orders')
const columns = new Int32Array(HEAD_WIDTH + 64 * ROW_WIDTH)
const target = new Uint8Array(64 * 400)

const table: Record<string, number | string>[] = []
for (const [what, frame, payloadBytes] of scanned()) {
  for (const count of COUNTS) {
    const chunk = Buffer.concat(Array<Uint8Array>(count).fill(frame))
    const [native, typescript] = pair(
      () => binding.scanFrames(chunk, 0, chunk.length, columns, names.memory, DEFAULT_MAX_FRAME_BYTES),
      () => scanFrames(chunk, 0, chunk.length, columns, names, DEFAULT_MAX_FRAME_BYTES),
    )
    row(`scan of ${what}`, payloadBytes, count, chunk.length, native, typescript)
  }
}
for (const payloadBytes of [16, 128]) {
  for (const count of COUNTS) {
    const decoder = new typescriptCodec.FrameDecoder({ names })
    decoder.push(Buffer.concat(Array<Uint8Array>(count).fill(typescriptCodec.encode(publishFrame(payloadBytes)))))
    decoder.next()
    const { batch } = decoder
    const first = 5n
    const [native, typescript] = pair(
      () => {
        // What the native codec does around the call, arguments checked twice as the TypeScript twin does once.
        typescriptCodec.deliverRunLength(batch, 0, count)
        binding.encodeDeliverRun(
          batch.bytes,
          batch.columns,
          0,
          count,
          1,
          highHalf(first),
          lowHalf(first),
          SCHEMA_ID,
          target,
          0,
        )
      },
      () => typescriptCodec.encodeDeliverRun(batch, 0, count, 1, first, SCHEMA_ID, target, 0),
    )
    row('Deliver run', payloadBytes, count, '', native, typescript)
  }
}
for (const count of COUNTS) {
  const [native, typescript] = pair(
    () => binding.encodePublishAckRun(1, 0, highHalf(5n), lowHalf(5n), count, target, 0),
    () => typescriptCodec.encodePublishAckRun(1, 0, 5n, count, target, 0),
  )
  row('PublishAck run', '', count, '', native, typescript)
}
console.table(table)

/** The frames that sockets bring most of: to a server, to a publisher and to a subscriber. */
function scanned(): [what: string, frame: Uint8Array, payloadBytes: number | ''][] {
  const published = [16, 128, 512, 1024, 4096].map((bytes): [string, Uint8Array, number] => {
    return ['Publish', typescriptCodec.encode(publishFrame(bytes)), bytes]
  })
  const { envelope } = publishFrame(128)
  const deliver: Frame = { type: 'Deliver', flags: 0, streamId: 3, deliverySeq: 1n, envelope }
  const acknowledgement: Frame = { type: 'PublishAck', flags: 0, streamId: 1, messageId: 1n }
  return [
    ...published,
    ['Deliver', typescriptCodec.encode(deliver), 128],
    ['PublishAck', typescriptCodec.encode(acknowledgement), ''],
  ]
}

function row(
  what: string,
  payload: number | '',
  count: number,
  bytes: number | '',
  native: number,
  typescript: number,
): void {
  table.push({ what, payload, count, bytes, native, typescript, faster: native < typescript ? 'native' : 'typescript' })
}

/** Nanoseconds of a call of each: the medians of rounds that take turns. */
function pair(native: () => unknown, typescript: () => unknown): [number, number] {
  const samples: [number[], number[]] = [[], []]
  for (let round = 0; round < 11; round++) {
    samples[0].push(timed(native))
    samples[1].push(timed(typescript))
  }
  return [median(samples[0]), median(samples[1])]
}

function timed(call: () => unknown): number {
  const calls = 4000
  const start = process.hrtime.bigint()
  for (let index = 0; index < calls; index++) call()
  return Number(process.hrtime.bigint() - start) / calls
}

function median(values: number[]): number {
  return Math.round(values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)])
}
