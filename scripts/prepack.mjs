// npm runs this before it packs the main package: builds dist/ afresh and puts the published package.json in place. What can fail comes first,
// because npm runs no postpack when packing fails; `node scripts/postpack.mjs` puts package.json back after a crash.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { enterPublished } from './published-manifest.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
accessSync(process.env.npm_config_pack_destination || root, constants.W_OK)
rmSync(new URL('../dist', import.meta.url), { recursive: true, force: true })
const compile = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
})
if (compile.status === 0) enterPublished()
else process.exitCode = compile.status ?? 1
