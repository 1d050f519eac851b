import { createRequire } from 'node:module'
import { Child } from '../process/child.ts'
import type { Found, RunningServer, Serving } from './system.ts'

const require = createRequire(import.meta.url)

/** Starts a server of `servers/` in a Node process of its own. */
export async function startNodeServer(
  server: string,
  { workload, directory }: Serving,
  environment: Readonly<Record<string, string>> = {},
): Promise<RunningServer> {
  const node = new Child(`${server} server`, new URL('../servers/node-server.js', import.meta.url), environment)
  try {
    const listening = await node.request({ type: 'serve', server, workload, directory }, 'listening')
    const { port, receivePort, about } = listening
    return { pid: node.pid, endpoint: { port, receivePort, directory }, about, node, end: () => node.end() }
  } catch (error) {
    await node.end()
    throw error
  }
}

/** The installed versions of npm packages, or which one cannot be loaded. */
export function findPackages(...names: readonly string[]): Found {
  const versions: string[] = []
  for (const name of names) {
    try {
      versions.push(`${name} ${versionOf(name)}`)
    } catch (error) {
      return { missing: `${name} cannot be loaded: ${error instanceof Error ? error.message : error}` }
    }
  }
  return { version: versions.join(', ') }
}

function versionOf(name: string): string {
  const paths = require.resolve.paths(name) ?? []
  for (const path of paths) {
    try {
      const found: { readonly version: string } = require(`${path}/${name}/package.json`)
      return found.version
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND')) throw error
    }
  }
  throw new Error('it is not installed')
}
