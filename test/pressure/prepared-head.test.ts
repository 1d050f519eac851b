import { Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { typescriptCodec } from '../../ts/codec/index.ts'
import { Outbox, PreparedHead } from '../../ts/pressure/index.ts'
import { NO_CAUSE, NO_SCHEMA, PUBLISH_HAS_KEY } from '../../ts/protocol/index.ts'

/** What is written to a stream in place of a socket. */
function written(write: (outbox: Outbox) => void): Promise<Buffer> {
  return new Promise((resolve) => {
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        resolve(Buffer.from(chunk))
        done()
      },
    })
    write(new Outbox(sink, { capacityBytes: 1 << 20 }))
  })
}

describe('a prepared head', () => {
  const payloads: [string, string | Uint8Array][] = [
    ['text', '{"name":"Ümläut"}'],
    ['bytes', Uint8Array.of(1, 2, 3)],
    ['no bytes', new Uint8Array(0)],
  ]

  it.each(payloads)('writes a publish of %s as the codec does, with a key and without', async (_what, payload) => {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
    const envelope = { schemaId: NO_SCHEMA, causal: NO_CAUSE, payload: bytes }
    const frame = { type: 'Publish', streamId: 7, channel: 'orders', envelope } as const
    const plain = PreparedHead.publish(typescriptCodec, 7, 0, 'orders', NO_CAUSE)
    expect(await written((outbox) => plain.write(outbox, payload))).toEqual(
      Buffer.from(typescriptCodec.encode({ ...frame, flags: 0, idempotencyKey: null })),
    )
    const keyed = PreparedHead.keyedPublish(typescriptCodec, 7, 0, 'orders', NO_CAUSE)
    for (const key of ['', 'k', 'schlüssel-€', 'long'.repeat(500)]) {
      expect(await written((outbox) => keyed.writeKeyed(outbox, payload, key))).toEqual(
        Buffer.from(typescriptCodec.encode({ ...frame, flags: PUBLISH_HAS_KEY, idempotencyKey: key })),
      )
    }
  })
})
