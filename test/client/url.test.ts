import { describe, expect, it } from 'vitest'
import { connect, parseUrl } from '../../ts/client/index.ts'
import { LiminalError } from '../../ts/errors.ts'
import { failure } from './harness.ts'

describe('the URL of a server', () => {
  it.each([
    ['liminal://localhost', 'localhost', 7777, 'liminal://localhost:7777'],
    ['liminal://localhost/', 'localhost', 7777, 'liminal://localhost:7777'],
    ['LIMINAL://10.0.0.1:80', '10.0.0.1', 80, 'liminal://10.0.0.1:80'],
    ['liminal://bus.example.org:65535', 'bus.example.org', 65535, 'liminal://bus.example.org:65535'],
    ['liminal://[::1]:9000', '::1', 9000, 'liminal://[::1]:9000'],
    ['liminal://[fe80::1]', 'fe80::1', 7777, 'liminal://[fe80::1]:7777'],
  ])('%s', (text, host, port, url) => {
    expect(parseUrl(text)).toEqual({ host, port, url })
  })

  it('may be a URL object', () => {
    expect(parseUrl(new URL('liminal://[::1]:9000'))).toEqual(parseUrl('liminal://[::1]:9000'))
  })

  it.each([null, undefined, 7777, {}, ['liminal://localhost']])('must not be %s', async (given) => {
    // What a JavaScript caller may pass.
    const error = await failure(() => Reflect.apply(connect, undefined, [given]), 'INVALID_ARGUMENT')
    expect(error.message).toContain('url must be')
  })

  it.each([
    ['localhost:7777', 'does not start with liminal://'],
    ['http://localhost', 'does not start with liminal://'],
    ['liminal://', 'the host is missing'],
    ['liminal://:7777', 'the host is missing'],
    ['liminal://host:', 'the port ""'],
    ['liminal://host:0', 'the port "0"'],
    ['liminal://host:65536', 'the port "65536"'],
    ['liminal://host:7x', 'the port "7x"'],
    ['liminal://host:-1', 'the port "-1"'],
    ['liminal://::1:7777', 'needs brackets'],
    ['liminal://[::1', 'not closed'],
    ['liminal://[localhost]:7777', 'not an IPv6 address'],
    ['liminal://[::1]7777', 'follows the host'],
    ['liminal://user@host', 'authToken'],
    ['liminal://host/path', 'has a path'],
    ['liminal://host?token=1', 'query'],
    ['liminal://host#x', 'fragment'],
    ['liminal://ho st', 'character'],
    ['liminal://ho$t', 'not a host name'],
  ])('refuses %s and says why', (text, why) => {
    expect(() => parseUrl(text)).toThrow(LiminalError)
    expect(() => parseUrl(text)).toThrow(why)
  })
})

describe('the options of connect', () => {
  it.each([
    [{ timeoutMs: 0 }, 'timeoutMs'],
    [{ timeoutMs: Number.POSITIVE_INFINITY }, 'timeoutMs'],
    [{ keepaliveMs: -1 }, 'keepaliveMs'],
    [{ outboxBytes: 0 }, 'outboxBytes'],
    [{ outboxBytes: 1.5 }, 'outboxBytes'],
    [{ requestTimeoutMs: Number.NaN }, 'requestTimeoutMs'],
    [{ frameBytes: 10 }, 'frameBytes'],
    [{ reconnect: { baseMs: -1 } }, 'reconnect.baseMs'],
    [{ reconnect: { maxMs: Number.POSITIVE_INFINITY } }, 'reconnect.maxMs'],
    [{ reconnect: { maxAttempts: 0 } }, 'reconnect.maxAttempts'],
  ])('%o names what is wrong', async (options, name) => {
    const error = await failure(connect('liminal://127.0.0.1:1', options), 'INVALID_ARGUMENT')
    expect(error.message).toContain(name)
  })
})
