// Packs a platform package with the addon built for it: node scripts/pack-platform.mjs <platform> [folder for the tarball, default: here]
// Prints the tarball's path. Works in a copy, so that no addon is ever left in npm/.
import { copyFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { addonPath, readAddon } from './addon-binary.mjs'
import { packFolder } from './pack-folder.mjs'
import { addonName, platformNamed } from './platforms.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const [name, destination = '.'] = process.argv.slice(2)
const platform = platformNamed(name)
const { os, cpu } = readAddon(platform)
if (os !== platform.os || cpu !== platform.cpu) throw new Error(`${addonName(platform)} is built for ${os} ${cpu}`)

const copy = mkdtempSync(join(tmpdir(), 'liminal-bus-pack-'))
try {
  cpSync(join(root, 'npm', platform.name), copy, { recursive: true })
  copyFileSync(join(root, 'LICENSE'), join(copy, 'LICENSE'))
  copyFileSync(addonPath(platform), join(copy, addonName(platform)))
  console.log(packFolder(copy, destination, ['--ignore-scripts']))
} finally {
  rmSync(copy, { recursive: true, force: true })
}
