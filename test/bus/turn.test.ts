import { describe, expect, it } from 'vitest'
import { nextTurn, renewTurn, spendTurn } from '../../ts/bus/turn.ts'

const WHOLE_BUDGET = 4_096

describe('the work of a turn', () => {
  it('is spent by everybody together, until the loop goes round', async () => {
    await nextTurn()
    expect(spendTurn(WHOLE_BUDGET - 1)).toBe(false)
    await Promise.resolve()
    expect(spendTurn(1)).toBe(true)
    expect(spendTurn(0)).toBe(true)
    await nextTurn()
    expect(spendTurn(1)).toBe(false)
  })

  it('begins anew for what a socket brought', async () => {
    await nextTurn()
    expect(spendTurn(WHOLE_BUDGET)).toBe(true)
    renewTurn()
    expect(spendTurn(WHOLE_BUDGET - 1)).toBe(false)
    expect(spendTurn(1)).toBe(true)
  })
})
