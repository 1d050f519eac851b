// Installs what the benchmark compares with. The addon of better-sqlite3 is compiled here once, which takes a minute; without a compiler SQLite is left out of the comparison.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { loadSqlite } from './systems/sqlite.mjs'

const folder = fileURLToPath(new URL('.', import.meta.url))
const wanted = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8')).dependencies['better-sqlite3']

if (installed() !== wanted || (await loadSqlite()).missing !== null) {
  npm('ci', '--ignore-scripts')
  if (npm('rebuild', 'better-sqlite3') !== 0) process.stderr.write('better-sqlite3 could not be built here.\n')
}

function npm(...args) {
  const { status } = spawnSync('npm', ['--prefix', folder, ...args, '--silent'], { stdio: ['ignore', 2, 2] })
  return status
}

function installed() {
  try {
    return JSON.parse(readFileSync(new URL('node_modules/better-sqlite3/package.json', import.meta.url), 'utf8'))
      .version
  } catch (error) {
    if (error.code === 'ENOENT') return null
    throw error
  }
}
