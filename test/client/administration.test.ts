import { describe, expect, it } from 'vitest'
import { connect } from '../../ts/client/index.ts'
import { createServer, type ServerOptions } from '../../ts/server/index.ts'
import { failure, keep, pair } from './harness.ts'
import { replyTo, textOf } from './scripted-server.ts'

async function connected(options: ServerOptions & { echoFallback?: boolean }) {
  const server = keep(await createServer({ port: 0, ...options }))
  return keep(await connect(server.url))
}

describe('administration over a connection', () => {
  it('is not there if the server was told not to, whoever echoes in its place', async () => {
    for (const echoFallback of [false, true]) {
      const bus = await connected({ administration: false, echoFallback })
      await failure(bus.administration.channels(), 'NOT_SUPPORTED')
    }
  })

  it('asks and understands as the protocol says', async () => {
    const { bus, peer } = await pair()
    const asking = bus.administration.setCursor('orders', 'billing', { position: 2n ** 64n - 1n })
    expect(await peer.expect('ConversationOpen')).toMatchObject({ subject: '$administration' })
    const request = await peer.expect('ConversationMessage')
    expect(JSON.parse(textOf(request))).toEqual({
      operation: 'set-cursor',
      channel: 'orders',
      cursor: 'billing',
      to: { position: '18446744073709551615' },
    })
    const cursor = { channel: 'orders', name: 'billing', position: '7', lag: '0', owned: true, more: 'later' }
    peer.send(replyTo(request, JSON.stringify({ result: cursor })))
    expect(await asking).toEqual({ channel: 'orders', name: 'billing', position: 7n, lag: 0n, owned: true })
  })

  it('asks for more of a log until it has what is wanted, or there is nothing', async () => {
    const { bus, peer } = await pair()
    const page = (...positions: number[]): string => {
      const rest = { messageId: '7', timestamp: 1, schemaId: '', payload: '' }
      return JSON.stringify({ result: positions.map((position) => ({ position: `${position}`, ...rest })) })
    }
    const answer = async (reply: string): Promise<unknown> => {
      await peer.expect('ConversationOpen')
      const request = await peer.expect('ConversationMessage')
      peer.send(replyTo(request, reply))
      await peer.expect('ConversationClose')
      return JSON.parse(textOf(request))
    }
    const all = bus.administration.peek('orders', { from: 'latest', limit: 3, timeoutMs: 60_000 })
    const asked = { operation: 'peek', channel: 'orders' }
    expect(await answer(page(4, 5))).toEqual({ ...asked, from: 'latest', limit: 3 })
    expect(await answer(page(6))).toEqual({ ...asked, from: { position: '6' }, limit: 1 })
    expect((await all).map(({ position }) => position)).toEqual([4n, 5n, 6n])
    const short = bus.administration.peek('orders')
    expect(await answer(page(4))).toEqual({ ...asked, from: 'earliest', limit: 10 })
    expect(await answer(page())).toEqual({ ...asked, from: { position: '5' }, limit: 9 })
    expect(await short).toHaveLength(1)
  })

  it.each([
    ['{"error":{"code":"CURSOR_NOT_FOUND","message":"There is none."}}', 'CURSOR_NOT_FOUND'],
    ['{"error":{"code":"OF_A_LATER_VERSION","message":"Hm."}}', 'REMOTE_ERROR'],
    ['{"result":[{"name":7}]}', 'INVALID_ARGUMENT'],
    ['{"result":{}}', 'INVALID_ARGUMENT'],
    ['[]', 'INVALID_ARGUMENT'],
  ] as const)('fails with what the server answers: %s', async (reply, code) => {
    const { bus, peer } = await pair()
    const asking = failure(bus.administration.cursors(), code)
    await peer.expect('ConversationOpen')
    peer.send(replyTo(await peer.expect('ConversationMessage'), reply))
    await asking
  })

  it('answers requests that make no sense with an error, and lives on', async () => {
    const bus = await connected({})
    for (const request of [
      null,
      7,
      {},
      { operation: 'drop' },
      { operation: 'peek' },
      { operation: 'purge', channel: 'a', before: 1 },
    ]) {
      expect(await bus.ask('$administration', request)).toEqual({
        error: { code: expect.stringMatching(/^(INVALID_ARGUMENT|NOT_SUPPORTED)$/), message: expect.any(String) },
      })
    }
    expect(await bus.administration.channels()).toEqual([])
  })
})
