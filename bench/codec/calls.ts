import type { NativeBinding } from '../../ts/codec/binding.ts'
import { createNameTable } from '../../ts/codec/index.ts'
import { DEFAULT_MAX_FRAME_BYTES, HEAD_WIDTH, ROW_WIDTH } from '../../ts/protocol/index.ts'
import { type Comparison, type Contender, nanoseconds } from './comparison.ts'
import type { Control } from './control/build.ts'
import { SCHEMA_ID } from './inputs.ts'
import { type Effort, takeTurns } from './measure.ts'

interface CallCase {
  readonly name: string
  /** The same call of each addon; null where it has none. */
  readonly napiRs: (() => unknown) | null
  readonly nodeAddonApi: () => unknown
  readonly bare: () => unknown
}

/**
 * What a call costs before it does anything. "N-API" is the bare C functions: Node's own price. What node-addon-api or napi-rs takes more is
 * theirs. The Rust addon has no call without an array, because its loan of memory is what it is for; it is compared from two arrays on.
 */
export async function callCosts(binding: NativeBinding, control: Control, effort: Effort): Promise<Comparison[]> {
  const comparisons: Comparison[] = []
  for (const { name, napiRs, nodeAddonApi, bare } of callCases(binding, control)) {
    const contenders: Contender[] = [
      { name: 'N-API', call: bare },
      { name: 'node-addon-api', call: nodeAddonApi },
      ...(napiRs === null ? [] : [{ name: 'napi-rs', call: napiRs }]),
    ]
    const answers = new Set(contenders.map(({ call }) => call()))
    if (answers.size !== 1) throw new Error(`${name}: the addons answer ${[...answers].join(', ')}`)
    const taken = await takeTurns(contenders, effort)
    const times = Object.fromEntries(
      contenders.map((contender, index) => [contender.name, nanoseconds(taken[index], 1)]),
    )
    comparisons.push({
      group: 'A call that does nothing',
      case: name,
      per: 'call',
      nanoseconds: napiRs === null ? { ...times, 'napi-rs': null } : times,
    })
  }
  return comparisons
}

function callCases(binding: NativeBinding, { wrapped, bare }: Control): CallCase[] {
  const buffer = Buffer.alloc(64 * 1024)
  const columns = new Int32Array(HEAD_WIDTH + 512 * ROW_WIDTH)
  const { memory } = createNameTable()
  const scanNothing =
    ({ scanFrames }: Pick<NativeBinding, 'scanFrames'>) =>
    () =>
      scanFrames(buffer, 0, 0, columns, memory, DEFAULT_MAX_FRAME_BYTES)
  const negotiate =
    ({ negotiateSchema }: Pick<NativeBinding, 'negotiateSchema'>) =>
    () =>
      negotiateSchema(SCHEMA_ID, SCHEMA_ID)
  return [
    { name: 'call without arguments', napiRs: null, nodeAddonApi: () => wrapped.empty(), bare: () => bare.empty() },
    {
      name: 'call with a Buffer',
      napiRs: null,
      nodeAddonApi: () => wrapped.byteLength(buffer),
      bare: () => bare.byteLength(buffer),
    },
    {
      name: 'call with two arrays',
      napiRs: negotiate(binding),
      nodeAddonApi: negotiate(wrapped),
      bare: negotiate(bare),
    },
    {
      name: 'call with three arrays and three numbers',
      napiRs: scanNothing(binding),
      nodeAddonApi: scanNothing(wrapped),
      bare: scanNothing(bare),
    },
  ]
}
