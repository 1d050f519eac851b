// Checks that a built addon is what its platform package promises: node scripts/check-addon.mjs <platform>
// The right system and processor; with glibc no symbol newer than the floor; with musl no symbol of glibc.
import { isNewer, readAddon } from './addon-binary.mjs'
import { addonName, glibcFloor, platformNamed } from './platforms.mjs'

const platform = platformNamed(process.argv[2])
const { os, cpu, glibc } = readAddon(platform)
const faults = []

if (os !== platform.os || cpu !== platform.cpu) faults.push(`is built for ${os} ${cpu}`)
if (platform.libc === 'glibc' && glibc === null) faults.push('needs no glibc at all: it is built for another C library')
if (platform.libc === 'glibc' && glibc !== null && isNewer(glibc, glibcFloor)) {
  faults.push(`needs glibc ${glibc.join('.')}, the floor is ${glibcFloor.join('.')}: build it on an older system`)
}
if (platform.libc === 'musl' && glibc !== null) faults.push(`needs glibc ${glibc.join('.')}`)

for (const fault of faults) console.error(`${addonName(platform)} ${fault}`)
if (faults.length > 0) process.exitCode = 1
else console.log(`${addonName(platform)}: ${os} ${cpu}${glibc ? `, glibc ${glibc.join('.')}` : ''}`)
