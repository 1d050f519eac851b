import type { NativeBinding } from '../../ts/codec/binding.ts'
import { createNameTable, typescriptCodec } from '../../ts/codec/index.ts'
import { scanFrames } from '../../ts/codec/scan.ts'
import { DEFAULT_MAX_FRAME_BYTES, HEAD_WIDTH, ROW_WIDTH } from '../../ts/protocol/index.ts'
import { type Comparison, type Contender, nanoseconds } from './comparison.ts'
import type { Control } from './control/build.ts'
import { keyedPublishFrame, publishFrame, sizeName } from './inputs.ts'
import { type Effort, takeTurns } from './measure.ts'

/** Frames of a chunk: one request alone, a few, and what a socket read of 64 KiB holds of 200-byte frames. */
const FRAMES = [1, 4, 16, 64, 320]
const PAYLOADS = [16, 128, 1024, 4096, 65_536]
/** Larger chunks than this say nothing new: no socket read makes them. */
const LARGEST_CHUNK = 2 * 1024 * 1024

/**
 * The scan of a chunk to columns, for chunks of all sizes: in TypeScript, in Rust through napi-rs, and, where there is a control addon, in C++
 * through node-addon-api and through bare N-API.
 */
export async function scanGrid(
  binding: NativeBinding,
  control: Control | null,
  effort: Effort,
  onProgress: (name: string) => void,
): Promise<Comparison[]> {
  const comparisons: Comparison[] = []
  for (const payload of PAYLOADS) {
    for (const frames of FRAMES) {
      const chunk = chunkOf(frames, payload, false)
      if (chunk.length > LARGEST_CHUNK) continue
      const name = `scan of ${frames} x ${sizeName(payload)}`
      onProgress(name)
      comparisons.push(await compareScans(name, chunk, frames, binding, control, effort))
    }
  }
  const keyed = 'scan of 320 x 128 B, keyed'
  onProgress(keyed)
  comparisons.push(await compareScans(keyed, chunkOf(320, 128, true), 320, binding, control, effort))
  return comparisons
}

type Scan = NativeBinding['scanFrames']

async function compareScans(
  name: string,
  chunk: Uint8Array,
  frames: number,
  binding: NativeBinding,
  control: Control | null,
  effort: Effort,
): Promise<Comparison> {
  const names = createNameTable()
  names.add('orders')
  const columns = new Int32Array(HEAD_WIDTH + frames * ROW_WIDTH)
  const through = (scan: Scan) => () => scan(chunk, 0, chunk.length, columns, names.memory, DEFAULT_MAX_FRAME_BYTES)
  const contenders: Contender[] = [
    {
      name: 'TypeScript',
      call: () => scanFrames(chunk, 0, chunk.length, columns, names, DEFAULT_MAX_FRAME_BYTES),
    },
    { name: 'Rust, napi-rs', call: through(binding.scanFrames) },
    ...(control === null
      ? []
      : [
          { name: 'C++, node-addon-api', call: through(control.wrapped.scanFrames) },
          { name: 'C++, N-API', call: through(control.bare.scanFrames) },
        ]),
  ]
  checkColumns(name, contenders, columns)
  const taken = await takeTurns(contenders, effort)
  return {
    group: 'Chunk to columns, by frames in the chunk and payload',
    case: name,
    per: 'frame',
    nanoseconds: Object.fromEntries(
      contenders.map((contender, index) => [contender.name, nanoseconds(taken[index], frames)]),
    ),
  }
}

/** All scans must write the same numbers, or their times say nothing about each other. */
function checkColumns(name: string, contenders: readonly Contender[], columns: Int32Array): void {
  const written = contenders.map(({ call }) => {
    columns.fill(0x55)
    call()
    return columns.join()
  })
  contenders.forEach((contender, index) => {
    if (written[index] !== written[0]) throw new Error(`${name}: ${contender.name} writes other columns`)
  })
}

function chunkOf(frames: number, payload: number, keyed: boolean): Buffer {
  return Buffer.concat(
    Array.from({ length: frames }, (_frame, index) =>
      typescriptCodec.encode(keyed ? keyedPublishFrame(payload, index) : publishFrame(payload)),
    ),
  )
}
