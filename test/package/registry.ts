import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import { LiminalError } from '../../ts/errors.ts'

/** What the registry needs to know of a package.json; the rest is passed on as it is. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** A package to offer: its package.json and its tarball. */
export interface Offer {
  readonly manifest: Manifest
  readonly tarball: string
}

/**
 * A package registry on this machine that has the given packages and answers 404 for all others: an installation needs no network, and what is
 * not published is really not there.
 */
export class Registry implements AsyncDisposable {
  readonly #offers = new Map<string, Offer>()
  readonly #server: Server
  /** Names that were asked for and not found. */
  readonly missed = new Set<string>()

  private constructor() {
    this.#server = createServer((request, response) => {
      const path = decodeURIComponent(request.url ?? '/').slice(1)
      const tarball = path.startsWith('-/') ? this.#tarball(path.slice(2)) : undefined
      if (tarball !== undefined) {
        response.end(readFileSync(tarball))
        return
      }
      const offer = this.#offers.get(path)
      if (offer === undefined) this.missed.add(path)
      response.statusCode = offer === undefined ? 404 : 200
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(offer === undefined ? { error: 'not found' } : this.#document(offer)))
    })
  }

  static async start(): Promise<Registry> {
    const registry = new Registry()
    registry.#server.listen(0, '127.0.0.1')
    await once(registry.#server, 'listening')
    return registry
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
  }

  add(offer: Offer): void {
    this.#offers.set(offer.manifest.name, offer)
  }

  remove(name: string): void {
    this.#offers.delete(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #tarball(file: string): string | undefined {
    for (const offer of this.#offers.values()) if (basename(offer.tarball) === file) return offer.tarball
    return undefined
  }

  #document({ manifest, tarball }: Offer): object {
    const integrity = `sha512-${createHash('sha512').update(readFileSync(tarball)).digest('base64')}`
    const dist = { tarball: `${this.url}-/${basename(tarball)}`, integrity }
    return {
      name: manifest.name,
      'dist-tags': { latest: manifest.version },
      versions: { [manifest.version]: { ...manifest, dist } },
    }
  }
}

/** The folders of all packages that a package needs at run time, those for this platform included, from what is installed in `root`. */
export function dependencyFolders(root: string): string[] {
  const found = new Map<string, string>()
  const waiting = [root]
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    const { dependencies = {}, optionalDependencies = {} } = readManifest(folder)
    for (const name of [...Object.keys(dependencies), ...Object.keys(optionalDependencies)]) {
      if (found.has(name)) continue
      const dependency = [folder, root].map((base) => join(base, 'node_modules', name)).find(existsSync)
      // What is for other platforms is not installed on this one.
      if (dependency === undefined && name in optionalDependencies) continue
      if (dependency === undefined)
        throw new LiminalError('INTERNAL', `${name}, which ${folder} needs, is not installed`)
      found.set(name, dependency)
      waiting.push(dependency)
    }
  }
  return [...found.values()]
}

export function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
}
