import { isIPv6 } from 'node:net'
import { invalidArgument } from '../arguments.ts'
import { LiminalError } from '../errors.ts'
import { DEFAULT_PORT } from '../protocol/index.ts'

/** Where a server listens. */
export interface ServerAddress {
  /** A name or an IP address, an IPv6 one without its brackets. */
  readonly host: string
  readonly port: number
  /** The URL in full, with its port. */
  readonly url: string
}

const SCHEME = 'liminal://'

/**
 * Reads `liminal://host[:port]`, an IPv6 address in brackets; the port is {@link DEFAULT_PORT} where there is none. Nothing may follow but one `/`.
 *
 * @throws LiminalError `INVALID_ARGUMENT` that names what is wrong.
 */
export function parseUrl(given: string | URL): ServerAddress {
  const url = given instanceof URL ? given.href : given
  if (typeof url !== 'string')
    throw invalidArgument('url', `a string like '${SCHEME}127.0.0.1:${DEFAULT_PORT}' or a URL`, url)
  if (!url.toLowerCase().startsWith(SCHEME)) {
    throw invalid(url, `it does not start with ${SCHEME}`)
  }
  const rest = url.slice(SCHEME.length)
  const authority = rest.endsWith('/') ? rest.slice(0, -1) : rest
  const stray = /[/?#@\s\\]/.exec(authority)
  if (stray !== null) throw invalid(url, explainStray(stray[0]))
  const { host, rest: afterHost } = authority.startsWith('[')
    ? bracketedHost(url, authority)
    : plainHost(url, authority)
  const port = afterHost === '' ? DEFAULT_PORT : parsePort(url, afterHost.slice(1))
  const shown = host.includes(':') ? `[${host}]` : host
  return { host, port, url: `${SCHEME}${shown}:${port}` }
}

function bracketedHost(url: string, authority: string): { host: string; rest: string } {
  const end = authority.indexOf(']')
  if (end < 0) throw invalid(url, 'the bracket around its IPv6 address is not closed')
  const host = authority.slice(1, end)
  const rest = authority.slice(end + 1)
  if (!isIPv6(host)) throw invalid(url, `"${host}" in brackets is not an IPv6 address`)
  if (rest !== '' && !rest.startsWith(':')) throw invalid(url, `"${rest}" follows the host where only :port may`)
  return { host, rest }
}

function plainHost(url: string, authority: string): { host: string; rest: string } {
  const colon = authority.indexOf(':')
  const host = colon < 0 ? authority : authority.slice(0, colon)
  const rest = colon < 0 ? '' : authority.slice(colon)
  if (rest.lastIndexOf(':') > 0) throw invalid(url, 'an IPv6 address needs brackets, as in liminal://[::1]:7777')
  if (host === '') throw invalid(url, 'the host is missing')
  if (!/^[A-Za-z0-9._-]+$/.test(host)) throw invalid(url, `"${host}" is not a host name`)
  return { host, rest }
}

function parsePort(url: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) throw invalid(url, `the port "${text}" is not a number from 1 to 65535`)
  return port
}

function explainStray(character: string): string {
  if (character === '@') return 'it has a user name; a token goes into the option authToken'
  if (character === '/') return 'it has a path; only host and port are allowed'
  if (character === '?' || character === '#') return 'it has a query or a fragment; options go into the second argument'
  return 'it has a character that no host has'
}

function invalid(url: string, what: string): LiminalError {
  return new LiminalError(
    'INVALID_ARGUMENT',
    `The URL "${url}" cannot be used: ${what}. Expected liminal://host[:port].`,
  )
}
