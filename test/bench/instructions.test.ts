import { describe, expect, it } from 'vitest'
import {
  buildWorkloads,
  committedSnapshot,
  countInstructions,
  differences,
  installedToolchain,
} from '../../bench/codec/instructions.ts'

const UPDATE = 'If that is meant, write it down: npx tsx bench/codec/instructions.ts --update'

describe('the instruction counts of native/core', () => {
  // Building the workloads alone may take half a minute on a new machine.
  it('stay within 3 % of the committed ones', { timeout: 240_000 }, async (context) => {
    const committed = committedSnapshot()
    const installed = await installedToolchain()
    if (typeof installed === 'string') {
      if (process.env.LIMINAL_TEST_BENCHMARKS === 'required')
        throw new Error(`Instructions have to be counted, but ${installed}`)
      return context.skip(`Instructions are not counted: ${installed}`)
    }
    const here = `rustc ${installed.rustc}, glibc ${installed.glibc}, ${installed.architecture}`
    const there = `rustc ${committed.toolchain.rustc}, glibc ${committed.toolchain.glibc}, ${committed.toolchain.architecture}`
    // Another compiler makes other instructions of the same source.
    if (here !== there) {
      return context.skip(`Instructions are not counted: the snapshot is of ${there}, and here is ${here}`)
    }
    const counted = await countInstructions(await buildWorkloads())
    const found = differences(committed.instructionsPerOperation, counted)
    expect(found, `The snapshot is of ${there}; counted with ${here}. ${UPDATE}`).toEqual([])
  })

  it('are called different from 3 % on, whether more or fewer, and when a workload comes or goes', () => {
    const committed = { 'scan/run': 100, 'schema/id': 1000 }
    expect(differences(committed, { 'scan/run': 102.9, 'schema/id': 971 })).toEqual([])
    expect(differences(committed, { 'scan/run': 103.1, 'schema/id': 969 })).toEqual([
      'scan/run takes 103.1 instructions instead of 100 (+3.1 %)',
      'schema/id takes 969 instructions instead of 1000 (-3.1 %)',
    ])
    expect(differences(committed, { 'scan/run': 100, 'scan/new': 5 })).toEqual([
      'schema/id is in the snapshot and no workload any more',
      'scan/new takes 5 instructions and is not in the snapshot',
    ])
  })
})
