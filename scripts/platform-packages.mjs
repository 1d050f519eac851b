// Writes npm/<platform>/ from platforms.mjs and the main package.json. With --check it writes nothing and fails if a file is out of date.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { platformManifest, platformReadme } from './manifests.mjs'
import { platforms } from './platforms.mjs'

const root = new URL('../', import.meta.url)
const manifest = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'))
const check = process.argv.includes('--check')
const stale = []

for (const platform of platforms) {
  const folder = new URL(`npm/${platform.name}/`, root)
  mkdirSync(folder, { recursive: true })
  update(new URL('package.json', folder), `${JSON.stringify(platformManifest(platform, manifest), null, 2)}\n`)
  update(new URL('README.md', folder), platformReadme(platform))
}
const known = new Set(platforms.map((platform) => platform.name))
for (const folder of readdirSync(new URL('npm/', root))) {
  if (!known.has(folder)) stale.push(`npm/${folder} is no known platform: remove it`)
}
const [, crateVersion] = /^version = "(.+)"$/m.exec(readFileSync(new URL('Cargo.toml', root), 'utf8')) ?? []
if (crateVersion !== manifest.version) {
  stale.push(`Cargo.toml has version ${crateVersion}, package.json ${manifest.version}: change one of them`)
}
if (stale.length > 0) {
  console.error(stale.join('\n'))
  process.exitCode = 1
}

function update(file, text) {
  let current = null
  try {
    current = readFileSync(file, 'utf8')
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
  if (current === text) return
  if (check)
    stale.push(`${file.pathname.slice(root.pathname.length)} is out of date: run node scripts/platform-packages.mjs`)
  else writeFileSync(file, text)
}
