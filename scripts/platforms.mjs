// The platforms with a prebuilt addon: one optional package each. Everything that differs between them stands here.

/**
 * @typedef {object} Platform
 * @property {string} name how Node, npm and the loader call it: `<os>-<cpu>[-<libc or compiler>]`
 * @property {string} title for people
 * @property {string} target the Rust target triple
 * @property {'linux' | 'darwin' | 'win32'} os `process.platform`
 * @property {'x64' | 'arm64'} cpu `process.arch`
 * @property {'glibc' | 'musl' | null} libc npm's name of the C library, `null` where there is only one
 */

/** @type {readonly Platform[]} */
export const platforms = [
  platform('linux-x64-gnu', 'Linux x64 with glibc', 'x86_64-unknown-linux-gnu', 'glibc'),
  platform('linux-arm64-gnu', 'Linux arm64 with glibc', 'aarch64-unknown-linux-gnu', 'glibc'),
  platform('linux-x64-musl', 'Linux x64 with musl', 'x86_64-unknown-linux-musl', 'musl'),
  platform('linux-arm64-musl', 'Linux arm64 with musl', 'aarch64-unknown-linux-musl', 'musl'),
  platform('darwin-x64', 'macOS x64', 'x86_64-apple-darwin', null),
  platform('darwin-arm64', 'macOS arm64', 'aarch64-apple-darwin', null),
  platform('win32-x64-msvc', 'Windows x64', 'x86_64-pc-windows-msvc', null),
  platform('win32-arm64-msvc', 'Windows arm64', 'aarch64-pc-windows-msvc', null),
]

/** The oldest glibc that the gnu addons may need: that of the oldest Linux that Node 20 supports. */
export const glibcFloor = [2, 28]

/** The platform of that name. Throws with the known names if there is none. */
export function platformNamed(name) {
  const found = platforms.find((candidate) => candidate.name === name)
  if (found) return found
  throw new Error(`no platform '${name ?? ''}'; one of: ${platforms.map((known) => known.name).join(', ')}`)
}

/** The npm package that carries the addon of a platform. */
export function packageName(platform) {
  return `liminal-bus-${platform.name}`
}

/** The file name of a platform's addon. */
export function addonName(platform) {
  return `liminal-bus.${platform.name}.node`
}

function platform(name, title, target, libc) {
  const [os, cpu] = name.split('-')
  return { name, title, target, os, cpu, libc }
}
