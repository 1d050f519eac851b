import { describe, expect, it } from 'vitest'
import { connect } from '../../ts/client/index.ts'
import { resolveOptions } from '../../ts/client/options.ts'
import { typescriptCodec } from '../../ts/codec/index.ts'
import { failure } from './harness.ts'

/** What a JavaScript caller may pass. */
async function refused(options: object): Promise<string> {
  return (await failure(() => resolveOptions(options), 'INVALID_ARGUMENT')).message
}

describe('the options of connect', () => {
  it('are refused where they are not known, with the one that was meant', async () => {
    expect(await refused({ timeoutMS: 5 })).toBe("options has no member 'timeoutMS'. Did you mean 'timeoutMs'?")
    expect(await refused({ keepAlive: 5 })).toContain("Did you mean 'keepaliveMs'?")
    expect(await refused({ reconnect: { maxAttempt: 5 } })).toBe(
      "reconnect has no member 'maxAttempt'. Did you mean 'maxAttempts'?",
    )
    expect(await refused({ colour: 'red' })).toMatch(/^options has no member 'colour'\. Known are: authToken, /)
    expect(await refused({ ['x'.repeat(100_000)]: 1 })).toMatch(/Known are: authToken, /)
    const misspelt: object = { tokn: 'x' }
    await failure(connect('liminal://127.0.0.1:1', misspelt), 'INVALID_ARGUMENT')
  })

  it('are taken where they are known', () => {
    const { signal } = new AbortController()
    const reconnect = { baseMs: 1, maxMs: 2, maxAttempts: 3 }
    const options = { authToken: 't', timeoutMs: 1, signal, reconnect, keepaliveMs: 0, outboxBytes: 1 }
    const others = { requestTimeoutMs: 1, frameBytes: 1_024, codec: typescriptCodec, extensions: false }
    expect(resolveOptions({ ...options, ...others })).toMatchObject({ ...others, reconnect })
  })

  it.each([{}, 'native', 7, { encode: () => new Uint8Array(0) }])('refuse a codec that is none: %j', async (codec) => {
    expect(await refused({ codec })).toContain('codec must be a codec')
  })

  it('keep a token as it was, also that of a Buffer', () => {
    const authToken = Buffer.from('secret')
    const settings = resolveOptions({ authToken })
    authToken.fill(0)
    expect(Buffer.from(settings.authToken).toString()).toBe('secret')
  })
})
