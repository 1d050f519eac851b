import { vi } from 'vitest'

/** Resolves once a check holds that no event announces. Asked often, and for as long as a busy machine may take. */
export function eventually<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 20_000, interval: 5 })
}
