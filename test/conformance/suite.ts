import { afterEach, describe } from 'vitest'
import { administratingTests } from './administrating.ts'
import type { Backing, BackingFactory, BackingOptions } from './backing.ts'
import { closingTests } from './closing.ts'
import { conversingTests } from './conversing.ts'
import { dispatchingTests } from './dispatching.ts'
import { durableTests } from './durable.ts'
import { durableConversingTests } from './durable-conversing.ts'
import { publishingTests } from './publishing.ts'
import { streamingTests } from './streaming.ts'
import { subscribingTests } from './subscribing.ts'
import { survivingTests } from './surviving.ts'
import { workingTests } from './working.ts'

export type { Backing, BackingFactory, BackingOptions } from './backing.ts'

/** Makes the backing of one test, which is closed after it. */
export type Setup = (options?: BackingOptions) => Promise<Backing>

/** What every bus must do, wherever it is: the tests see nothing but the `Bus` interface. */
export function describeBusConformance(name: string, factory: BackingFactory): void {
  describe(name, () => {
    const open: Backing[] = []
    const setup: Setup = async (options = {}) => {
      const backing = await factory(options)
      open.push(backing)
      return backing
    }
    afterEach(async () => {
      for (const backing of open.splice(0)) await backing.close()
    })

    describe('publishing', () => publishingTests(setup))
    describe('subscribing', () => subscribingTests(setup))
    describe('conversing', () => conversingTests(setup))
    describe('surviving', () => survivingTests(setup))
    describe('streaming', () => streamingTests(setup))
    describe('dispatching', () => dispatchingTests(setup))
    describe('working', () => workingTests(setup))
    describe('durable channels', () => durableTests(setup))
    describe('durable conversations', () => durableConversingTests(setup))
    describe('administrating', () => administratingTests(setup))
    describe('closing', () => closingTests(setup))
  })
}
