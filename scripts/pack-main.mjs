// Packs the main package: node scripts/pack-main.mjs [folder for the tarball, default: here]. Prints the tarball's path.
// The same as `npm pack`, but in a copy: whatever happens, the checkout's package.json and dist/ stay as they are.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packFolder } from './pack-folder.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const sources = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts', 'ts']
const others = files.filter((name) => !name.startsWith('!') && name !== 'dist')

const copy = mkdtempSync(join(tmpdir(), 'liminal-bus-pack-'))
try {
  for (const name of [...sources, ...others]) cpSync(join(root, name), join(copy, name), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'), 'junction')
  const prepack = spawnSync(process.execPath, ['scripts/prepack.mjs'], { cwd: copy, stdio: ['ignore', 2, 2] })
  if (prepack.status !== 0)
    throw new Error('the package could not be built; the messages are above', { cause: prepack.error })
  console.log(packFolder(copy, process.argv[2] ?? '.', ['--ignore-scripts']))
} finally {
  rmSync(copy, { recursive: true, force: true })
}
