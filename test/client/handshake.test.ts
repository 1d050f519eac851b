import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { createBus } from '../../ts/bus/index.ts'
import { connect } from '../../ts/client/index.ts'
import { typescriptCodec } from '../../ts/codec/index.ts'
import { ProtocolError } from '../../ts/errors.ts'
import { ALL_CAPABILITIES, type Frame } from '../../ts/protocol/index.ts'
import { serve } from '../../ts/server/index.ts'
import { failure, keep, pair, until } from './harness.ts'
import { ScriptedServer } from './scripted-server.ts'

async function refusedWith(frame: Frame): Promise<{ connecting: Promise<unknown>; server: ScriptedServer }> {
  const server = keep(await ScriptedServer.listen())
  const connecting = connect(server.url, { authToken: 'secret' })
  connecting.catch(() => {})
  const peer = await server.connection()
  await peer.expect('Connect')
  peer.send(frame)
  return { connecting, server }
}

function connectError(reasonCode: number, message: string | null): Frame {
  return { type: 'ConnectError', flags: 0, streamId: 0, reasonCode, message }
}

describe('the handshake', () => {
  it('offers version 1.0, the token and the extensions', async () => {
    const server = keep(await ScriptedServer.listen())
    const connecting = connect(server.url, { authToken: 'sécret' })
    const peer = await server.connection()
    const frame = await peer.accept()
    keep(await connecting)
    expect(frame).toMatchObject({ flags: 0x80, minVersion: { major: 1, minor: 0 }, maxVersion: { major: 1, minor: 0 } })
    expect(Buffer.from(frame.authToken).toString()).toBe('sécret')
  })

  it('keeps to plain 1.0 where it is told to, whatever the server grants', async () => {
    const server = keep(await ScriptedServer.listen())
    const connecting = connect(server.url, { extensions: false })
    const peer = await server.connection()
    const frame = await peer.accept()
    const bus = keep(await connecting)
    expect(frame.flags).toBe(0)
    expect(bus.state).toMatchObject({ type: 'connected', capabilities: 0 })
  })

  it('takes only the capabilities that it understands', async () => {
    const { bus } = await pair({}, 0xffff_ffff)
    expect(bus.state).toMatchObject({ type: 'connected', capabilities: ALL_CAPABILITIES })
  })

  it('fails for a token that is refused, and does not try again', async () => {
    const { connecting, server } = await refusedWith(connectError(6, 'The token was rejected.'))
    const error = await failure(connecting, 'AuthenticationFailure')
    expect(error).toBeInstanceOf(ProtocolError)
    expect(error.message).toBe('The token was rejected.')
    let again = false
    void server.connection().then(() => {
      again = true
    })
    const other = connect(server.url, { timeoutMs: 50 })
    await failure(other, 'CONNECTION_FAILED')
    // The one that came is the other's.
    expect(again).toBe(true)
  })

  it('fails for versions that do not meet', async () => {
    const { connecting } = await refusedWith(connectError(7, null))
    await failure(connecting, 'VersionMismatch')
  })

  it('fails for any other refusal with its reason as the cause', async () => {
    const { connecting } = await refusedWith(connectError(0x800b, 'Too many connections.'))
    const error = await failure(connecting, 'CONNECTION_FAILED')
    expect(error.message).toMatch(/^The server at liminal:.* refused the connection: Too many connections\.$/)
    expect(error.cause).toMatchObject({ code: 'LIMIT_EXCEEDED' })
    expect(error.retryable).toBe(true)
  })

  it('fails at the connection limit of a server in the words of the server', async () => {
    const local = keep(await createBus())
    const server = keep(await serve(local, { port: 0, limits: { connections: 1 } }))
    keep(await connect(server.url))
    const error = await failure(connect(server.url), 'CONNECTION_FAILED')
    expect(error.message).toContain('refused the connection')
    expect(error.message).not.toContain('Check the address')
    expect(error.cause).toMatchObject({ code: 'REMOTE_ERROR' })
    expect(error.message).toContain(error.cause instanceof Error ? error.cause.message : 'a cause')
  })

  it('fails where nobody listens', async () => {
    const server = await ScriptedServer.listen()
    await server.close()
    const error = await failure(connect(server.url), 'CONNECTION_FAILED')
    expect(error.message).toContain(server.url)
    expect(error.message).toContain('ECONNREFUSED')
  })

  it('fails for a server that says nothing, in time', async () => {
    const server = keep(await ScriptedServer.listen())
    const error = await failure(connect(server.url, { timeoutMs: 20 }), 'CONNECTION_FAILED')
    expect(error.cause).toMatchObject({ code: 'TIMEOUT' })
    await (await server.connection()).ended
  })

  it('is given up by its signal', async () => {
    const server = keep(await ScriptedServer.listen())
    const controller = new AbortController()
    const connecting = failure(connect(server.url, { signal: controller.signal }), 'ABORTED')
    const peer = await server.connection()
    await peer.expect('Connect')
    controller.abort(new Error('enough'))
    expect((await connecting).cause).toMatchObject({ message: 'enough' })
    await peer.ended
    await failure(connect(server.url, { signal: AbortSignal.abort() }), 'ABORTED')
  })

  it('fails when the server closes instead of answering', async () => {
    const server = keep(await ScriptedServer.listen())
    const connecting = failure(connect(server.url), 'CONNECTION_FAILED')
    const peer = await server.connection()
    await peer.expect('Connect')
    peer.socket.end()
    await connecting
  })

  it('fails for a server that speaks something else', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    keep({ close: async () => void server.close() })
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await failure(connect(`liminal://127.0.0.1:${port}`), 'CONNECTION_FAILED')
  })
})

describe('a connection', () => {
  it('is lost over bytes that break the protocol, and says which', async () => {
    const { bus, peer } = await pair()
    const status = until(bus, 'disconnected')
    // A Ping on a stream of its own.
    peer.socket.write(Buffer.from('13000000000100000000', 'hex'))
    const error = await disconnection(status)
    expect(error).toMatchObject({ code: 'CONNECTION_LOST', cause: { code: 'InvalidStream', reasonCode: 4 } })
  })

  it('is lost over a frame larger than the cap, from its header alone', async () => {
    const { bus, peer } = await pair({ frameBytes: 4_096 })
    const status = until(bus, 'disconnected')
    peer.socket.write(Buffer.from('19000000000100001000', 'hex'))
    expect(await disconnection(status)).toMatchObject({ code: 'CONNECTION_LOST', cause: { code: 'FrameTooLarge' } })
  })

  it('is lost in the middle of a frame', async () => {
    const { bus, peer } = await pair()
    const status = until(bus, 'disconnected')
    peer.socket.end(Buffer.from('1900000000010000', 'hex'))
    expect(await disconnection(status)).toMatchObject({ cause: { code: 'IncompleteHeader' } })
  })

  it('is lost over a second answer to the handshake', async () => {
    const { bus, peer } = await pair()
    const status = until(bus, 'disconnected')
    const selectedVersion = { major: 1, minor: 0 }
    peer.send({ type: 'ConnectAck', flags: 0, streamId: 0, selectedVersion, capabilities: 0 })
    expect(await disconnection(status)).toMatchObject({ cause: { code: 'InvalidStateTransition' } })
  })

  it('tells why the server ended it', async () => {
    const { bus, server, peer } = await pair()
    const statuses = bus.status()[Symbol.asyncIterator]()
    await statuses.next()
    peer.send(connectError(9, 'A frame of yours was malformed.'))
    expect((await statuses.next()).value).toMatchObject({
      type: 'disconnected',
      error: { code: 'CONNECTION_LOST', cause: { code: 'CodecError', message: 'A frame of yours was malformed.' } },
    })
    const second = await server.connection()
    await second.accept()
    await until(bus, 'connected')
    second.send({ type: 'Disconnect', flags: 0, streamId: 0 })
    expect(await disconnection(until(bus, 'disconnected'))).toMatchObject({ cause: { code: 'SHUTTING_DOWN' } })
  })

  it('answers Pings and skips frames that mean nothing to it', async () => {
    const { peer } = await pair()
    peer.send(
      { type: 'Unknown', typeId: 0x7f, flags: 1, streamId: 3, payload: Buffer.from('whatever') },
      { type: 'Accept', flags: 0, streamId: 1, referencedMessageId: '1' },
      { type: 'PublishAck', flags: 0, streamId: 99, messageId: 1n },
      { type: 'Pong', flags: 0, streamId: 0 },
    )
    expect(await peer.rest()).toEqual([])
  })

  it('takes frames that are cut anywhere', async () => {
    const { bus, peer } = await pair()
    const asking = bus.ask('greet', 'me')
    const open = await peer.expect('ConversationOpen')
    const request = await peer.expect('ConversationMessage')
    const { streamId, conversationId } = request
    expect(open.conversationId).toBe(conversationId)
    const bytes = typescriptCodec.encode({ ...request, flags: 1, streamId, conversationId })
    for (const byte of bytes) {
      await new Promise((resolve) => peer.socket.write(Uint8Array.of(byte), resolve))
    }
    expect(await asking).toBe('me')
  })
})

describe('the keepalive', () => {
  it('asks a silent server, and gives it up after two intervals', async () => {
    const { bus, peer } = await pair({ keepaliveMs: 20 })
    const lost = until(bus, 'disconnected')
    await peer.expect('Ping')
    expect(await disconnection(lost)).toMatchObject({ code: 'CONNECTION_LOST' })
    await peer.ended
  })

  it('leaves a server alone that answers', async () => {
    const { bus, peer } = await pair({ keepaliveMs: 200 })
    for (let round = 0; round < 3; round++) {
      await peer.expect('Ping')
      peer.send({ type: 'Pong', flags: 0, streamId: 0 })
    }
    expect(bus.state.type).toBe('connected')
  })
})

async function disconnection(status: ReturnType<typeof until>): Promise<Error> {
  const event = await status
  if (event.type !== 'disconnected') throw new Error(`Expected disconnected, got ${event.type}`)
  return event.error
}
