import { randomInt } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { killRounds } from './kills/kill-rounds.ts'

const ROUNDS = 50
/** `LIMINAL_FAULT_SEED` repeats the kills of a run that failed, as far as the machine lets it. */
const SEED = Number(process.env.LIMINAL_FAULT_SEED ?? randomInt(2 ** 31))

describe(`kill -9 of a server with durable channels, seed ${SEED}`, () => {
  it('at any moment loses nothing that was acknowledged, doubles nothing that has a key, and every cursor sees all of it', async () => {
    const summary = await killRounds({ rounds: ROUNDS, seed: SEED })
    expect(summary.messages).toBeGreaterThan(ROUNDS)
    // Kills came between a message and its acknowledgement, and between a delivery and its acceptance.
    expect(summary.duplicates).toBeGreaterThan(0)
    expect(summary.redelivered).toBeGreaterThan(0)
    expect(summary.retried).toBeGreaterThan(0)
  }, 600_000)
})
