import { createRequire } from 'node:module'
import type { MessageCodec } from './message.ts'

const INSTALL = 'npm --prefix bench/codec ci --ignore-scripts'

/** The codecs of other projects, or why there are none: their packages belong to the benchmark and are not installed with this one's. */
export async function loadPeers(): Promise<MessageCodec[] | string> {
  try {
    createRequire(import.meta.url).resolve('msgpackr')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND') {
      return `their packages are not installed (${INSTALL})`
    }
    throw error
  }
  // Named at run time, so that the sources can be checked where the packages are missing.
  const peers: { peerCodecs: () => MessageCodec[] } = await import(new URL('peers/index.ts', import.meta.url).href)
  return peers.peerCodecs()
}
