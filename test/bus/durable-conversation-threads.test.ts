import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createBus } from '../../ts/bus/index.ts'
import { MemoryStore } from '../../ts/durability/index.ts'

let directory = ''

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'liminal-steps-'))
})

afterEach(async () => {
  await rm(directory, { recursive: true })
})

describe('a step in a worker thread', () => {
  it('is recorded outside, and not run again when the thread dies', async () => {
    await using bus = await createBus({ store: new MemoryStore() })
    const log = join(directory, 'log')
    const module = new URL('./modules/steps.mjs', import.meta.url)
    await bus.respond('order', module, { isolated: true }).ready()
    const conversation = await bus.converse('order', { durable: true })
    const reply = await conversation.request({ log, die: true }, { timeoutMs: 30_000 })
    expect(reply).toEqual([{ made: 'here' }, 'not yet', 'try 2', 'PAYLOAD_TOO_LARGE', true, 2])
    expect(await readFile(log, 'utf8')).toBe('first 32\n')
  })

  it('simply runs where nothing is durable', async () => {
    await using bus = await createBus()
    const log = join(directory, 'log')
    const module = new URL('./modules/steps.mjs', import.meta.url)
    await bus.respond('order', module, { isolated: true }).ready()
    expect(await bus.ask('order', { log, die: false }, { timeoutMs: 30_000 })).toEqual([
      { made: 'here' },
      'not yet',
      'try 1',
      'kept',
      true,
      1,
    ])
    expect(await readFile(log, 'utf8')).toBe('first 36\n')
  })
})
