import { describe, expect, it } from 'vitest'
import { type Migration, migrationsFrom } from '../../ts/durability/embedded/migrations.ts'

const step = (from: number, to: number): Migration => ({ from, to, run: async () => {} })

describe('the way from one format to another', () => {
  it('is all steps in their order', () => {
    const steps = [step(2, 3), step(1, 2), step(3, 5)]
    expect(migrationsFrom('here', 1, steps, 5).map(({ to }) => to)).toEqual([2, 3, 5])
    expect(migrationsFrom('here', 5, steps, 5)).toEqual([])
  })

  it('is none to an older format', () => {
    expect(() => migrationsFrom('here', 6, [], 5)).toThrow(
      expect.objectContaining({ code: 'STORE_FAILED', retryable: false, message: expect.stringContaining('format 6') }),
    )
  })

  it('is none if a step is missing', () => {
    expect(() => migrationsFrom('here', 1, [step(1, 2)], 4)).toThrow(
      expect.objectContaining({ code: 'STORE_FAILED', message: expect.stringContaining('from 2 on') }),
    )
  })
})
