/**
 * What a benchmark's messages carry: enough to tell whether each arrived, once, in order, whole, and when it was sent.
 *
 * | offset | field |
 * |---|---|
 * | 0 | u32 run: messages of other runs on the same channel are not ours |
 * | 4 | u16 source: which publisher or asker |
 * | 6 | u16 kind: {@link SAMPLE} or {@link LAST} |
 * | 8 | u32 sequence of that source, from 0 |
 * | 12 | u32 microseconds since the run's start, modulo 2^32 |
 * | 16 | a fixed pattern up to the message's size |
 */
export const SAMPLE_BYTES = 16

export const SAMPLE = 0
/** The last message of a source: whatever it sent before has arrived by now, or never will. */
export const LAST = 1

/** Makes the messages of one source. */
export class SampleWriter {
  readonly #template: Buffer
  readonly #clock: RunClock

  constructor(run: number, source: number, size: number, clock: RunClock) {
    this.#clock = clock
    this.#template = pattern(size)
    this.#template.writeUInt32BE(run, 0)
    this.#template.writeUInt16BE(source, 4)
  }

  /** A message of its own bytes: the bus may hold on to them until it is acknowledged. */
  next(sequence: number, kind: typeof SAMPLE | typeof LAST): Buffer {
    const bytes = Buffer.allocUnsafe(this.#template.length)
    this.#template.copy(bytes)
    bytes.writeUInt16BE(kind, 6)
    bytes.writeUInt32BE(sequence, 8)
    bytes.writeUInt32BE(this.#clock.microseconds(), 12)
    return bytes
  }
}

/** One message as it was read. */
export interface Sample {
  readonly run: number
  readonly source: number
  readonly kind: number
  readonly sequence: number
  readonly sentAt: number
}

/** Reads a message of `size` bytes; null if it is not one that {@link SampleWriter} made, or not any more. */
export class SampleReader {
  readonly #pattern: Buffer

  constructor(size: number) {
    this.#pattern = pattern(size)
  }

  read(payload: Uint8Array): Sample | null {
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    if (bytes.length !== this.#pattern.length) return null
    if (bytes.compare(this.#pattern, SAMPLE_BYTES, undefined, SAMPLE_BYTES) !== 0) return null
    return {
      run: bytes.readUInt32BE(0),
      source: bytes.readUInt16BE(4),
      kind: bytes.readUInt16BE(6),
      sequence: bytes.readUInt32BE(8),
      sentAt: bytes.readUInt32BE(12),
    }
  }
}

function pattern(size: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: size }, (_, index) => (index * 31 + 7) & 0xff))
}

/** A clock that all processes of one machine share: the monotonic one of the system, counted from the start of the run. */
export class RunClock {
  readonly #offset: number

  /** @param epoch what {@link RunClock.epoch} gave the process that started the run. */
  constructor(epoch: number) {
    this.#offset = offsetOfSystemClock() - epoch
  }

  /** Now, for the other processes of a run. */
  static epoch(): number {
    return offsetOfSystemClock() + performance.now()
  }

  milliseconds(): number {
    return this.#offset + performance.now()
  }

  /** Modulo 2^32, so that it fits a message: an hour and a bit. */
  microseconds(): number {
    return Math.floor(this.milliseconds() * 1_000) >>> 0
  }

  /** Microseconds from `sentAt` until `now`, both of {@link microseconds}. Clocks differ by a few microseconds: never below 0. */
  static between(sentAt: number, now: number): number {
    return Math.max(0, (now - sentAt) | 0)
  }
}

const READINGS = 20

/** What turns `performance.now()` into the system's monotonic clock, in milliseconds. */
function offsetOfSystemClock(): number {
  let best = { offset: 0, width: Number.POSITIVE_INFINITY }
  // A process may be put aside between two readings of its clocks; the narrowest pair is the one that was not.
  for (let reading = 0; reading < READINGS; reading++) {
    const before = performance.now()
    const system = Number(process.hrtime.bigint()) / 1e6
    const after = performance.now()
    if (after - before < best.width) best = { offset: system - (before + after) / 2, width: after - before }
  }
  return best.offset
}
