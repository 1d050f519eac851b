import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { typescriptCodec } from '../../ts/codec/index.ts'
import { ReasonCode } from '../../ts/protocol/index.ts'
import { SESSION_CLOSED, SESSION_FAILED, type SessionFailed } from '../../ts/server/index.ts'
import { diagnosed, plainPeer, startServer, strangePeer } from './fixture.ts'
import { connectFrame, DISCONNECT, PING, publishFrame, subscribeFrame } from './raw-peer.ts'

interface ErrorVector {
  readonly kind: string
  readonly hex: string
  readonly error: string
  readonly reasonCode: number
  /** Set where it is malformed only for a codec that lacks something. */
  readonly until?: string
}

function errorVectors(): ErrorVector[] {
  const file: { vectors: ErrorVector[] } = JSON.parse(
    readFileSync(new URL('../vectors/wire-v1.json', import.meta.url), 'utf8'),
  )
  // Truncated ones are not malformed on a stream: the rest may still come. Those with `until` are well-formed for this codec.
  return file.vectors.filter(
    ({ kind, reasonCode, until }) =>
      kind === 'decode-error' && reasonCode > ReasonCode.TruncatedPayload && until === undefined,
  )
}

describe('a malformed frame', () => {
  it('ends its connection with the reason, for every error vector, and no other connection', async () => {
    const server = await startServer()
    const honest = await plainPeer(server)
    const vectors = errorVectors()
    expect(vectors.length).toBeGreaterThan(20)
    for (const vector of vectors) {
      const peer = await plainPeer(server)
      peer.write(Buffer.from(vector.hex, 'hex'))
      const refusal = await peer.expect('ConnectError')
      expect([vector.hex, refusal.reasonCode]).toEqual([vector.hex, vector.reasonCode])
      await peer.ended
      peer.destroy()
    }
    expect(await honest.rest()).toEqual([])
  }, 60_000)

  it('does not undo the frames before it', async () => {
    const server = await startServer()
    const failed = diagnosed<SessionFailed>(SESSION_FAILED)
    const subscriber = await plainPeer(server)
    subscriber.send(subscribeFrame('a', 1))
    await subscriber.expect('SubscribeAck')
    const peer = await plainPeer(server)
    const bad = Buffer.from(typescriptCodec.encode(PING))
    bad[5] = 1
    peer.write(Buffer.concat([typescriptCodec.encode(publishFrame('a', '1')), bad, typescriptCodec.encode(PING)]))
    await subscriber.expect('Deliver')
    expect((await peer.until('ConnectError')).map((frame) => frame.type)).toEqual(['PublishAck', 'ConnectError'])
    await peer.ended
    expect((await failed).error.code).toBe('InvalidStream')
  })

  it('ends a connection that has not connected yet just so', async () => {
    const peer = await strangePeer(await startServer())
    const bad = Buffer.from(typescriptCodec.encode(connectFrame()))
    bad[9] += 1
    peer.write(Buffer.concat([bad, Buffer.alloc(1)]))
    expect((await peer.expect('ConnectError')).reasonCode).toBe(ReasonCode.Codec)
    await peer.ended
  })
})

describe('the end of the stream', () => {
  it('inside a frame is told', async () => {
    const peer = await plainPeer(await startServer())
    peer.socket.end(Buffer.from(typescriptCodec.encode(publishFrame('a', '1'))).subarray(0, 30))
    expect((await peer.expect('ConnectError')).reasonCode).toBe(ReasonCode.TruncatedPayload)
    await peer.ended
  })

  it('behind the last frame is answered first', async () => {
    const server = await startServer()
    const closed = diagnosed(SESSION_CLOSED)
    const peer = await plainPeer(server)
    peer.socket.end(Buffer.concat([publishFrame('a', '1'), PING].map((frame) => typescriptCodec.encode(frame))))
    await peer.expect('PublishAck')
    await peer.expect('Pong')
    await peer.ended
    await closed
  })

  it('comes after Ping and Disconnect in one segment with the Pong', async () => {
    const peer = await plainPeer(await startServer())
    peer.send(PING, DISCONNECT, PING)
    await peer.expect('Pong')
    await peer.ended
    await expect(peer.next()).rejects.toThrow('closed')
  })

  it('gives up the subscriptions of a peer', async () => {
    const server = await startServer()
    const closed = diagnosed(SESSION_CLOSED)
    const subscriber = await plainPeer(server)
    subscriber.send(subscribeFrame('a', 1))
    await subscriber.expect('SubscribeAck')
    subscriber.destroy()
    await closed
    const publisher = await plainPeer(server)
    publisher.send(publishFrame('a', '1'))
    expect((await publisher.expect('PublishAck')).flags).toBe(0)
  })
})
