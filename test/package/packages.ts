import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { dependencyFolders, type Manifest, Registry, readManifest } from './registry.ts'

const run = promisify(execFile)

/** The checkout. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** Runs a program of the checkout and returns the last line that it printed. */
async function lastLine(command: string, options: readonly string[]): Promise<string> {
  const { stdout } = await run(command, options, { cwd: root, shell: process.platform === 'win32' })
  return stdout.trim().split('\n').at(-1) ?? ''
}

/** The platform of this machine, as the platform packages call it. */
export function hostPlatform(): Promise<string> {
  const program = `import { hostPlatform } from './scripts/build-native.mjs'; console.log(hostPlatform())`
  return lastLine(process.execPath, ['--input-type=module', '--eval', program])
}

/** Packs the main package and returns the tarball. */
export function packMain(folder: string): Promise<string> {
  return lastLine(process.execPath, ['scripts/pack-main.mjs', folder])
}

/** Packs the addon that was built for this machine and returns the tarball. */
export async function packPlatform(folder: string): Promise<string> {
  return lastLine(process.execPath, ['scripts/pack-platform.mjs', await hostPlatform(), folder])
}

/** A registry that has what liminal-bus depends on, and nothing of liminal-bus itself. */
export async function registryOfDependencies(folder: string): Promise<Registry> {
  const registry = await Registry.start()
  for (const dependency of dependencyFolders(root)) {
    const name = await lastLine('npm', [
      'pack',
      dependency,
      '--ignore-scripts',
      '--loglevel=error',
      `--pack-destination=${folder}`,
    ])
    registry.add({ manifest: readManifest(dependency), tarball: join(folder, name) })
  }
  return registry
}

/** The text of the files of a tarball, by their path in the package. */
export async function unpack(tarball: string, folder: string): Promise<Map<string, Buffer>> {
  await mkdir(folder, { recursive: true })
  await run('tar', ['-xzf', tarball, '-C', folder])
  const files = new Map<string, Buffer>()
  for (const entry of await readdir(join(folder, 'package'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    files.set(path.slice(join(folder, 'package').length + 1).replaceAll('\\', '/'), await readFile(path))
  }
  return files
}

/** The package.json of a tarball. */
export async function unpackManifest(tarball: string): Promise<Manifest> {
  const { stdout } = await run('tar', ['-xzOf', tarball, 'package/package.json'])
  return JSON.parse(stdout) as Manifest
}
