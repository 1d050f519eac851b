import { afterEach, describe, expect, it } from 'vitest'
import { type Bus, createBus } from '../../ts/bus/index.ts'
import { createServer, serve } from '../../ts/server/index.ts'

describe('the options of a server', () => {
  const open: Bus[] = []
  afterEach(async () => {
    for (const bus of open.splice(0)) await bus.close()
  })

  it.each([
    ['{"keepalveMs":1}', "Did you mean 'keepaliveMs'?"],
    ['{"codec":{}}', 'codec'],
    ['{"limits":{"connection":1}}', 'connection'],
  ])('are refused before anything listens: %s', async (options, text) => {
    const bus = await createBus()
    open.push(bus)
    const wrong = expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(text) })
    await expect(serve(bus, { port: 0, ...JSON.parse(options) })).rejects.toEqual(wrong)
    await expect(createServer({ port: 0, ...JSON.parse(options) })).rejects.toEqual(wrong)
  })

  it('may be mixed with those of its bus in createServer only', async () => {
    const server = await createServer({ port: 0, channels: [{ name: 'orders' }], createChannels: false })
    await server.close()
    const bus = await createBus()
    open.push(bus)
    const mixed = { port: 0, createChannels: false }
    await expect(serve(bus, mixed)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})

describe('the options of a bus', () => {
  it.each([
    ['{"chanels":[]}', "Did you mean 'channels'?"],
    ['{"channels":[{"name":"orders","shcema":{}}]}', "Did you mean 'schema'?"],
  ])('are refused where they are unknown: %s', async (options, text) => {
    const wrong = { code: 'INVALID_ARGUMENT', message: expect.stringContaining(text) }
    await expect(createBus(JSON.parse(options))).rejects.toMatchObject(wrong)
  })
})
