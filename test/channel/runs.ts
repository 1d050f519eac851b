import type { Logged, MessageRun, PublishObserver, Sink } from '../../ts/channel/index.ts'
import { codec, createNameTable } from '../../ts/codec/index.ts'
import type { LiminalError } from '../../ts/errors.ts'
import { type Deliver, SCHEMA_ID_BYTES } from '../../ts/protocol/index.ts'

/** A run of several messages, scanned from Publish frames as a server does it. */
export function scannedRun(payloads: readonly string[], keys?: readonly string[]): MessageRun {
  const frames = payloads.map((payload, index) =>
    codec.encode({
      type: 'Publish',
      flags: keys === undefined ? 0 : 2,
      streamId: 1,
      channel: 'orders',
      envelope: {
        schemaId: new Uint8Array(SCHEMA_ID_BYTES).fill(0xee),
        causal: { parentId: `parent-${index}`, vectorClockEntry: BigInt(index) },
        payload: Buffer.from(payload),
      },
      idempotencyKey: keys?.[index] ?? null,
    }),
  )
  const names = createNameTable()
  names.add('orders')
  const decoder = new codec.FrameDecoder({ names })
  // Not at the start of the chunk, so that offsets matter.
  decoder.push(Buffer.concat([codec.encode({ type: 'Ping', flags: 0, streamId: 0 }), ...frames]))
  if (!decoder.next()) throw new Error('The run was not scanned.')
  const { bytes, columns, count } = decoder.batch
  return { bytes, columns: columns.slice(), first: 1, count: count - 1 }
}

/** The messages of a run, as a subscriber would get them. */
export function deliversOf(run: MessageRun, schemaId: Uint8Array): Deliver[] {
  const rows = { bytes: run.bytes, columns: run.columns, count: run.first + run.count }
  const target = new Uint8Array(codec.deliverRunLength(rows, run.first, run.count))
  codec.encodeDeliverRun(rows, run.first, run.count, 1, 1n, schemaId, target, 0)
  const delivers: Deliver[] = []
  for (const frame of new codec.FrameDecoder().frames(target)) {
    if (frame.type !== 'Deliver') throw new Error(`A ${frame.type} came out of a run of Delivers.`)
    delivers.push(frame)
  }
  return delivers
}

/** The payloads of a run as text. */
export function payloadsOf(run: MessageRun): string[] {
  return deliversOf(run, new Uint8Array(SCHEMA_ID_BYTES)).map(({ envelope }) =>
    Buffer.from(envelope.payload).toString(),
  )
}

/** A sink that writes down what happens to it. */
export class RecordingSink implements Sink {
  readonly payloads: string[] = []
  /** Runs that came, each as many messages as it had. */
  readonly runs: number[] = []
  readonly ends: LiminalError[] = []
  /** What it does with a delivery, beyond writing it down. */
  onDeliver: () => boolean = () => true
  behind: Promise<void> | null = null
  /** What it has room for. */
  free = Number.POSITIVE_INFINITY
  freeBytes = Number.POSITIVE_INFINITY
  /** Positions and attempts that came, of a channel with a log. */
  readonly logged: { readonly position: bigint; readonly attempt: number }[] = []
  #onRoom: (() => void) | null = null

  deliver(run: MessageRun, _schemaId: Uint8Array, logged: Logged | null): boolean {
    const taken = this.onDeliver()
    if (taken) {
      this.free -= run.count
      for (let index = 0; index < run.count && logged !== null; index++) {
        this.logged.push({ position: logged.position + BigInt(index), attempt: logged.attempt })
      }
      this.payloads.push(...payloadsOf(run))
      this.runs.push(run.count)
    }
    return taken
  }

  hold(): Promise<void> | null {
    return this.behind
  }

  room(bytes = 0): number {
    return bytes <= this.freeBytes ? this.free : 0
  }

  onRoom(listener: () => void): void {
    this.#onRoom = listener
  }

  /** Makes room, and says so. */
  makeRoom(messages: number): void {
    this.free = messages
    const listener = this.#onRoom
    this.#onRoom = null
    listener?.()
  }

  end(error: LiminalError): void {
    this.ends.push(error)
  }
}

/** An observer that writes down what it hears, as text, in order. */
export class RecordingObserver implements PublishObserver {
  readonly publisher: Uint8Array | null = null
  readonly heard: string[] = []
  readonly ids: bigint[] = []
  /** Of what was stored, and of the originals of duplicates. */
  readonly positions: (bigint | null)[] = []

  accepted(firstMessageId: bigint, count: number, deliveredTo: number, position: bigint | null): void {
    this.positions.push(position)
    this.ids.push(firstMessageId)
    this.heard.push(`accepted ${count} to ${deliveredTo}`)
  }

  duplicate(messageId: bigint, deliveredTo: number | null, position: bigint | null): void {
    this.positions.push(position)
    this.ids.push(messageId)
    this.heard.push(`duplicate to ${deliveredTo}`)
  }

  refused(error: LiminalError): void {
    this.heard.push(`refused ${error.code}`)
  }
}
