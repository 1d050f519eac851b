// Reads just enough of a compiled addon to know what it runs on.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { addonName } from './platforms.mjs'

const ELF_MACHINES = new Map([
  [0x3e, 'x64'],
  [0xb7, 'arm64'],
])
const MACH_CPUS = new Map([
  [0x0100_0007, 'x64'],
  [0x0100_000c, 'arm64'],
])
const PE_MACHINES = new Map([
  [0x8664, 'x64'],
  [0xaa64, 'arm64'],
])

/** Where the build leaves the addon of a platform. */
export function addonPath(platform) {
  return fileURLToPath(new URL(`../native/node/${addonName(platform)}`, import.meta.url))
}

/**
 * What the built addon of a platform really is: `{ os, cpu, glibc }`, see {@link describeBinary}. Throws with what to do where it is missing.
 */
export function readAddon(platform) {
  try {
    return describeBinary(readFileSync(addonPath(platform)))
  } catch (cause) {
    const advice = `build it with: node scripts/build-native.mjs --required --target ${platform.target}`
    throw new Error(`${addonPath(platform)} cannot be used; ${advice}`, { cause })
  }
}

/**
 * A 64-bit shared library's system and processor in Node's words, and the newest glibc whose symbols it needs as [major, minor], `null` if none.
 * Throws if the bytes are no such library, or it is for another processor.
 */
export function describeBinary(bytes) {
  const [os, cpu] = readHead(bytes)
  if (!cpu) throw new Error('the file is no shared library for x64 or arm64')
  return { os, cpu, glibc: newestGlibc(bytes) }
}

/** Whether version `left` comes after `right`. */
export function isNewer(left, right) {
  return left[0] > right[0] || (left[0] === right[0] && left[1] > right[1])
}

function readHead(bytes) {
  if (bytes.length < 64) return []
  const magic = bytes.readUInt32LE(0)
  if (magic === 0x464c_457f) return ['linux', ELF_MACHINES.get(bytes.readUInt16LE(18))]
  if (magic === 0xfeed_facf) return ['darwin', MACH_CPUS.get(bytes.readUInt32LE(4))]
  if ((magic & 0xffff) !== 0x5a4d) return []
  const head = bytes.readUInt32LE(60)
  if (head + 6 > bytes.length || bytes.readUInt32LE(head) !== 0x0000_4550) return []
  return ['win32', PE_MACHINES.get(bytes.readUInt16LE(head + 4))]
}

function newestGlibc(bytes) {
  let newest = null
  // Version names are strings of their own in the dynamic string table.
  for (const [, major, minor] of bytes.toString('latin1').matchAll(/\0GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\0)/g)) {
    const version = [Number(major), Number(minor)]
    if (newest === null || isNewer(version, newest)) newest = version
  }
  return newest
}
