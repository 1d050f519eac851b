import { createHash } from 'node:crypto'
import canonicalizeModule from 'canonicalize'
import { type Codec, createNameTable, type FrameRows } from '../../ts/codec/index.ts'
import {
  FRAMES_PER_CHUNK,
  keyedPublishFrame,
  ORDER_SCHEMA,
  publishFrame,
  SCHEMA_ID,
  SIZES,
  sizeName,
} from './inputs.ts'

// The package's types describe an ES module, but what it exports is the CommonJS function itself.
const canonicalize = canonicalizeModule as unknown as typeof canonicalizeModule.default

/** One thing that both codecs do. */
export interface Case {
  /** Cases of a group belong side by side. */
  readonly group: string
  /** Unique. */
  readonly name: string
  /** Frames (or schemas) handled by one call. */
  readonly framesPerCall: number
  /** Least ratio of native over TypeScript that the project promises; null where it promises none. */
  readonly promised: number | null
  /** What the codec runs here. If that is one and the same function for both codecs there is nothing to compare. */
  readonly path: (codec: Codec) => unknown
  /** Makes the call to measure. */
  readonly prepare: (codec: Codec) => () => unknown
}

/** Every case of `npm run bench:codec`. */
export const cases: readonly Case[] = [
  ...SIZES.map(encodeCase),
  ...SIZES.map(decodeCase),
  ...SIZES.map((size) => columnsCase(size, false)),
  columnsCase(128, true),
  ...SIZES.map(framesCase),
  ...SIZES.map(fanOutCase),
  schemaCase(),
]

function encodeCase(size: number): Case {
  return {
    group: 'Encode one Publish',
    name: `encode ${sizeName(size)}`,
    framesPerCall: 1,
    promised: 1,
    path: (codec) => codec.encode,
    prepare: (codec) => {
      const frame = publishFrame(size)
      return () => codec.encode(frame)
    },
  }
}

function decodeCase(size: number): Case {
  return {
    group: 'Decode one Publish',
    name: `decode ${sizeName(size)}`,
    framesPerCall: 1,
    promised: 1,
    path: (codec) => codec.decode,
    prepare: (codec) => {
      const bytes = codec.encode(publishFrame(size))
      return () => codec.decode(bytes)
    },
  }
}

function columnsCase(size: number, keyed: boolean): Case {
  return {
    group: `Chunk of ${FRAMES_PER_CHUNK} Publish frames to columns`,
    name: `chunk to columns ${sizeName(size)}${keyed ? ' keyed' : ''}`,
    framesPerCall: FRAMES_PER_CHUNK,
    promised: size === 128 && !keyed ? 3 : null,
    path: (codec) => codec.FrameDecoder,
    prepare: (codec) => {
      const chunk = chunkOf(codec, size, keyed)
      const decoder = new codec.FrameDecoder({ names: channelNames() })
      return () => {
        let rows = 0
        decoder.push(chunk)
        while (decoder.next()) rows += decoder.batch.count
        return rows
      }
    },
  }
}

function framesCase(size: number): Case {
  return {
    group: `Chunk of ${FRAMES_PER_CHUNK} Publish frames to objects`,
    name: `chunk to frames ${sizeName(size)}`,
    framesPerCall: FRAMES_PER_CHUNK,
    promised: null,
    path: (codec) => codec.FrameDecoder,
    prepare: (codec) => {
      const chunk = chunkOf(codec, size, false)
      const decoder = new codec.FrameDecoder({ names: channelNames() })
      return () => {
        let flags = 0
        decoder.push(chunk)
        while (decoder.next()) {
          const { batch } = decoder
          for (let row = 0; row < batch.count; row++) flags += batch.frame(row).flags
        }
        return flags
      }
    },
  }
}

function fanOutCase(size: number): Case {
  return {
    group: `Fan-out: ${FRAMES_PER_CHUNK} Deliver frames into an outbox`,
    name: `fan-out ${sizeName(size)}`,
    framesPerCall: FRAMES_PER_CHUNK,
    promised: size === 128 ? 3 : null,
    path: (codec) => codec.encodeDeliverRun,
    prepare: (codec) => {
      const rows = rowsOf(codec, size)
      const outbox = Buffer.alloc(codec.deliverRunLength(rows, 0, rows.count))
      return () => codec.encodeDeliverRun(rows, 0, rows.count, 3, 1n, SCHEMA_ID, outbox, 0)
    },
  }
}

function schemaCase(): Case {
  return {
    group: 'Schema id',
    name: 'schema id 2 KiB',
    framesPerCall: 1,
    promised: 2,
    path: (codec) => codec.schemaId,
    prepare: (codec) => (codec.name === 'native' ? () => codec.schemaId(ORDER_SCHEMA) : bareSchemaId),
  }
}

/** What a schema id costs with the good parts of npm and Node alone, without the checks that the TypeScript codec adds. */
function bareSchemaId(): Uint8Array {
  return createHash('sha256')
    .update(String(canonicalize(ORDER_SCHEMA)), 'utf8')
    .digest()
}

function chunkOf(codec: Codec, size: number, keyed: boolean): Uint8Array {
  const frames = Array.from({ length: FRAMES_PER_CHUNK }, (_frame, index) =>
    codec.encode(keyed ? keyedPublishFrame(size, index) : publishFrame(size)),
  )
  return Buffer.concat(frames)
}

function rowsOf(codec: Codec, size: number): FrameRows {
  const decoder = new codec.FrameDecoder({ names: channelNames() })
  decoder.push(chunkOf(codec, size, false))
  decoder.next()
  return decoder.batch
}

function channelNames() {
  const names = createNameTable()
  names.add('orders')
  return names
}
