import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads'
import { LiminalError } from '../errors.ts'
import type { LoadAttempt, LoadResult } from './addon.ts'
import { loadAddon } from './addon.ts'
import type { NativeBinding } from './binding.ts'
import type { Codec } from './codec.ts'
import { createNativeCodec } from './native.ts'
import { hostPlatform } from './platform.ts'
import { typescriptCodec } from './typescript.ts'

/** Which codec runs and why. */
export interface CodecInfo {
  readonly codec: 'native' | 'typescript'
  /** File of the addon; null for the TypeScript codec. */
  readonly file: string | null
  /** One sentence. */
  readonly reason: string
  /** Where the addon was looked for, in order; empty if nobody looked. */
  readonly tried: readonly { readonly from: string; readonly error: string | null }[]
}

/** The codec of this process. */
export interface CodecChoice {
  readonly codec: Codec
  readonly nativeCodec: Codec | null
  /** The addon where the codec is native. */
  readonly binding: NativeBinding | null
  readonly info: CodecInfo
}

const WARNED = 'liminal-bus.codec-fallback-warned'

/**
 * Chooses the codec: what `LIMINAL_CODEC` says, else the native one where its addon loads, else the TypeScript one with a warning
 * (`LIMINAL_CODEC_FALLBACK`), once per process.
 * @throws LiminalError `INVALID_ARGUMENT` for an unknown value; `CODEC_UNAVAILABLE` if `native` is forced and no addon loads.
 */
export function chooseCodec(forced: string | undefined): CodecChoice {
  if (forced === 'typescript') {
    const info: CodecInfo = { codec: 'typescript', file: null, reason: 'LIMINAL_CODEC=typescript forces it', tried: [] }
    return { codec: typescriptCodec, nativeCodec: null, binding: null, info }
  }
  if (forced !== undefined && forced !== '' && forced !== 'native') {
    throw new LiminalError('INVALID_ARGUMENT', `LIMINAL_CODEC is "${forced}"; use native or typescript, or unset it`)
  }
  const loaded = loadAddon()
  const tried = loaded.attempts.map(({ from, error }) => ({ from, error: error === null ? null : firstLine(error) }))
  if (loaded.binding !== null) {
    const codec = createNativeCodec(loaded.binding)
    const reason = forced === 'native' ? 'LIMINAL_CODEC=native forces it' : 'its addon loaded'
    return {
      codec,
      nativeCodec: codec,
      binding: loaded.binding,
      info: { codec: 'native', file: loaded.file, reason, tried },
    }
  }
  if (forced === 'native') throw unavailable(loaded)
  warnOnce(loaded)
  const reason = `no native addon could be loaded for ${hostPlatform()}`
  return {
    codec: typescriptCodec,
    nativeCodec: null,
    binding: null,
    info: { codec: 'typescript', file: null, reason, tried },
  }
}

function unavailable({ attempts }: LoadResult): LiminalError {
  return new LiminalError(
    'CODEC_UNAVAILABLE',
    `LIMINAL_CODEC=native, but no native addon could be loaded for ${hostPlatform()}. Tried:\n${list(attempts)}\n${advice()}`,
    { cause: chain(attempts) },
  )
}

function warnOnce({ attempts }: LoadResult): void {
  // Environment data is handed down to worker threads, which would otherwise each say it again.
  if (getEnvironmentData(WARNED) === true) return
  setEnvironmentData(WARNED, true)
  const message =
    `liminal-bus runs its slower TypeScript codec: no native addon could be loaded for ${hostPlatform()}. ` +
    `Tried:\n${list(attempts)}\n${advice()} LIMINAL_CODEC=typescript accepts the TypeScript codec and ends this warning.`
  process.emitWarning(message, { type: 'LiminalWarning', code: 'LIMINAL_CODEC_FALLBACK' })
}

function list(attempts: readonly LoadAttempt[]): string {
  return attempts.map(({ from, error }) => `- ${from}: ${error === null ? 'loaded' : firstLine(error)}`).join('\n')
}

/** Node lists the requiring files below its message; the whole error is in the cause. */
function firstLine(error: Error): string {
  return error.message.split('\n', 1)[0]
}

function advice(): string {
  return `Install the optional dependency liminal-bus-${hostPlatform()}, or on a checkout run npm run build:native.`
}

/** The errors of all attempts, the last one first, each the cause of the one tried after it. */
function chain(attempts: readonly LoadAttempt[]): Error | null {
  return attempts.reduce<Error | null>((earlier, { error }) => {
    if (error === null) return earlier
    if (earlier !== null) error.cause = earlier
    return error
  }, null)
}
