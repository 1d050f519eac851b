// Builds the native addon (where cargo is there) and the TypeScript sources. `npm install` on a checkout runs this.
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { buildNative } from './build-native.mjs'

buildNative()
rmSync(new URL('../dist', import.meta.url), { recursive: true, force: true })
const compile = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], {
  cwd: new URL('..', import.meta.url),
  stdio: 'inherit',
})
process.exitCode = compile.status ?? 1
