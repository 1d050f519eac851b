import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hostPlatform, packMain, packPlatform, registryOfDependencies } from './packages.ts'
import { Project } from './project.ts'
import type { Registry } from './registry.ts'

/** The packed packages of the checkout, a registry with what they depend on, and a folder for projects. */
export class Packed implements AsyncDisposable {
  readonly folder: string
  readonly registry: Registry
  readonly main: string
  readonly platform: string
  /** The name of this machine's platform package. */
  readonly platformName: string

  private constructor(folder: string, registry: Registry, main: string, platform: string, platformName: string) {
    this.folder = folder
    this.registry = registry
    this.main = main
    this.platform = platform
    this.platformName = platformName
  }

  static async make(): Promise<Packed> {
    const folder = mkdtempSync(join(tmpdir(), 'liminal-bus-package-'))
    const registry = await registryOfDependencies(folder)
    const platformName = `liminal-bus-${await hostPlatform()}`
    return new Packed(folder, registry, await packMain(folder), await packPlatform(folder), platformName)
  }

  /** An empty project with the programs of these tests and the given packages. */
  async install(name: string, ...packages: string[]): Promise<Project> {
    const project = new Project(join(this.folder, name), this.registry.url)
    cpSync(new URL('programs', import.meta.url), project.folder, { recursive: true })
    await project.npm('install', ...packages)
    return project
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registry[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
