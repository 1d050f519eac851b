import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { typescriptCodec } from '../../ts/codec/index.ts'
import { Deferred } from '../../ts/deferred.ts'
import {
  connectFrame,
  messageFrame,
  openFrame,
  publishFrame,
  RawPeer,
  subscribeFrame,
  textOf,
} from '../server/raw-peer.ts'
import { ChildServer } from './child-server.ts'
import { generator, type Random } from './random.ts'

/** Seconds of it; `LIMINAL_FUZZ_SECONDS=60` is the full run. */
const SECONDS = Number(process.env.LIMINAL_FUZZ_SECONDS ?? 4)
const CONNECTIONS = 50
/** Hostile connections, and rounds of each honest peer, until caches, compiled code and pools have filled up. As much again follows at least, however slow the machine is. */
const WARM_UP = { connections: 500, rounds: 20 }
const MIB = 1024 * 1024

function vectors(): Buffer[] {
  const file: { vectors: { hex: string }[] } = JSON.parse(
    readFileSync(new URL('../vectors/wire-v1.json', import.meta.url), 'utf8'),
  )
  // Large ones would make the noise slow rather than varied.
  return file.vectors
    .filter(({ hex }) => hex !== undefined && hex.length < 4_096)
    .map(({ hex }) => Buffer.from(hex, 'hex'))
}

/** What one hostile connection sends: noise, or a proper handshake and then mutated frames. */
function* attack(random: Random, frames: readonly Buffer[]): Generator<Buffer> {
  const pieces = 1 + random(20)
  if (random(3) > 0) yield Buffer.from(typescriptCodec.encode(connectFrame({ flags: random(2) * 0x80 })))
  for (let piece = 0; piece < pieces; piece++) {
    if (random(4) === 0) {
      yield Buffer.from(Array.from({ length: 1 + random(600) }, () => random(256)))
      continue
    }
    const frame = Buffer.from(frames[random(frames.length)])
    for (let flips = random(4); flips > 0 && frame.length > 0; flips--) frame[random(frame.length)] = random(256)
    yield random(5) === 0 ? frame.subarray(0, random(frame.length + 1)) : frame
  }
}

/** How much was done so far. */
class Progress {
  connections = 0
  readonly rounds: number[]
  readonly warm = new Deferred<void>()
  readonly #deadline = performance.now() + SECONDS * 1_000

  constructor(honest: number) {
    this.rounds = Array.from({ length: honest }, () => 0)
  }

  /** Whether to go on: until the time is over and enough was done. */
  readonly running = (): boolean => {
    if (this.#has(1)) this.warm.resolve()
    return performance.now() < this.#deadline || !this.#has(2)
  }

  #has(times: number): boolean {
    const rounds = Math.min(...this.rounds)
    return this.connections >= times * WARM_UP.connections && rounds >= times * WARM_UP.rounds
  }
}

/** Attacks over and over until told to stop. */
async function hostile(server: ChildServer, seed: number, progress: Progress): Promise<void> {
  const random = generator(seed)
  const frames = vectors()
  while (progress.running()) {
    progress.connections++
    await new Promise<void>((resolve) => {
      const socket = connect({ ...server.address, noDelay: true })
      socket.on('error', () => undefined)
      socket.on('close', () => resolve())
      socket.resume()
      for (const bytes of attack(random, frames)) socket.write(bytes)
      if (random(4) === 0) socket.write('', () => socket.destroy())
      else socket.end()
    })
  }
}

/** Publishes, gets its own deliveries and asks, and checks every answer, until told to stop. */
async function honest(server: ChildServer, channel: string, index: number, progress: Progress): Promise<void> {
  const peer = await RawPeer.connect(server, { extensions: true })
  peer.send(subscribeFrame(channel, 1), openFrame(1n, 'honest', { streamId: 3 }))
  await peer.expect('SubscribeAck')
  for (let rounds = 0; progress.running(); progress.rounds[index] = ++rounds) {
    const text = `round ${rounds}`
    peer.send(publishFrame(channel, text, { streamId: 5 }), messageFrame(1n, text, { streamId: 7 }))
    peer.send({ type: 'Accept', flags: 0, streamId: 1, referencedMessageId: `${rounds}` })
    const delivery = await peer.expect('Deliver')
    const ack = await peer.expect('PublishAck')
    const reply = await peer.expect('ConversationMessage')
    const seen = [delivery.deliverySeq, textOf(delivery), ack.flags, textOf(reply)]
    expect(seen).toEqual([BigInt(rounds + 1), text, 1, text])
  }
  peer.destroy()
}

describe('random bytes and mutated frames', () => {
  it(
    `from ${CONNECTIONS} connections for ${SECONDS} s leave the server alive, its memory flat and honest peers unharmed`,
    async () => {
      const channels = ['one', 'two', 'three', 'four']
      const server = await ChildServer.start({ channels: channels.map((name) => ({ name: `honest-${name}` })) })
      const progress = new Progress(channels.length)
      const attacks = Array.from({ length: CONNECTIONS }, (_, index) => hostile(server, index + 1, progress))
      const work = channels.map((name, index) => honest(server, `honest-${name}`, index, progress))
      const all = Promise.all([...attacks, ...work])
      await Promise.race([progress.warm.promise, all])
      const before = await server.memory()
      await all
      const after = await server.memory()
      if (process.env.LIMINAL_FUZZ_SECONDS !== undefined) {
        const heap = `heap ${before.heapUsed} -> ${after.heapUsed} bytes`
        console.log(
          `${progress.connections} hostile connections, ${progress.rounds.join(' + ')} honest rounds, ${heap}`,
        )
      }
      expect(progress.connections).toBeGreaterThan(CONNECTIONS)
      expect(Math.min(...progress.rounds)).toBeGreaterThan(10)
      expect(after.heapUsed - before.heapUsed).toBeLessThan(24 * MIB)
      expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(24 * MIB)
      expect(after.rss).toBeLessThan(Math.max(before.rss * 1.5, before.rss + 64 * MIB))
    },
    SECONDS * 1_000 + 60_000,
  )
})
