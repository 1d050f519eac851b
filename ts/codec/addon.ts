import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { NativeBinding } from './binding.ts'
import { hostPlatform } from './platform.ts'

/**
 * Loads the native addon. What is looked for, in this order:
 *
 * 1. `native/node/liminal-bus.<platform>.node` of this package, which only a checkout has;
 * 2. the optional platform package `liminal-bus-<platform>`, of exactly this package's version.
 */

/** One place that was tried; `error` is null for the one that worked. */
export interface LoadAttempt {
  /** A file or the name of a package. */
  readonly from: string
  readonly error: Error | null
}

/** What came of looking for the addon: every place that was tried, in order, and where it was found. */
export interface LoadResult {
  readonly binding: NativeBinding | null
  /** The addon's file. */
  readonly file: string | null
  readonly attempts: readonly LoadAttempt[]
}

interface PlatformPackage {
  manifest(): unknown
  addon(): unknown
}

// One property per function, so that the compiler refuses this file when the binding has one that is not checked.
const FUNCTIONS: Record<keyof NativeBinding, true> = {
  scanFrames: true,
  encodeDeliverRun: true,
  encodePublishAckRun: true,
  schemaId: true,
  negotiateSchema: true,
  negotiateVersion: true,
  transcodeFrame: true,
  openClaims: true,
  closeClaims: true,
  claimKeys: true,
  completeClaims: true,
  releaseClaims: true,
  lookAtClaims: true,
  restoreClaims: true,
  sweepClaims: true,
  countClaims: true,
  claimBytes: true,
}

/** Looks for the addon of this machine. Never throws: errors are in the attempts. */
export function loadAddon(): LoadResult {
  // Bundlers that make CommonJS of this module leave the URL undefined, whatever its type says.
  if (typeof import.meta.url !== 'string') {
    const error = new Error('It was bundled as CommonJS and finds nothing beside itself; mark it as external')
    return { binding: null, file: null, attempts: [{ from: 'liminal-bus', error }] }
  }
  const platform = hostPlatform()
  const own = join(fileURLToPath(import.meta.url), '../../../native/node', `liminal-bus.${platform}.node`)
  const places = [
    { from: own, load: () => loadOwn(own) },
    { from: `liminal-bus-${platform}`, load: () => loadPackage(platform) },
  ]
  const attempts: LoadAttempt[] = []
  for (const { from, load } of places) {
    try {
      const found = load()
      attempts.push({ from, error: null })
      return { ...found, attempts }
    } catch (error) {
      attempts.push({ from, error: error instanceof Error ? error : new Error(String(error)) })
    }
  }
  return { binding: null, file: null, attempts }
}

function loadOwn(file: string): { binding: NativeBinding; file: string } {
  if (!existsSync(file)) throw new Error('There is no such file; only a checkout that was built with cargo has it')
  return { binding: bindingOf(createRequire(import.meta.url)(file)), file }
}

function loadPackage(platform: string): { binding: NativeBinding; file: string } {
  const name = `liminal-bus-${platform}`
  const found = platformPackage(platform)
  if (found === null) throw new Error('No addon is published for this platform')
  const version = versionOf(found.manifest())
  const expected = ownVersion()
  if (expected !== null && version !== expected) {
    throw new Error(`${name} has version ${version}, but liminal-bus is ${expected}; install both in one version`)
  }
  return { binding: bindingOf(found.addon()), file: createRequire(import.meta.url).resolve(name) }
}

/** The platform packages, each named literally: that is how a bundler learns of them. */
function platformPackage(platform: string): PlatformPackage | null {
  // Bundlers and file tracers look for this very form, and for require('a literal').
  const require = createRequire(import.meta.url)
  switch (platform) {
    case 'linux-x64-gnu':
      return {
        manifest: () => require('liminal-bus-linux-x64-gnu/package.json'),
        addon: () => require('liminal-bus-linux-x64-gnu'),
      }
    case 'linux-arm64-gnu':
      return {
        manifest: () => require('liminal-bus-linux-arm64-gnu/package.json'),
        addon: () => require('liminal-bus-linux-arm64-gnu'),
      }
    case 'linux-x64-musl':
      return {
        manifest: () => require('liminal-bus-linux-x64-musl/package.json'),
        addon: () => require('liminal-bus-linux-x64-musl'),
      }
    case 'linux-arm64-musl':
      return {
        manifest: () => require('liminal-bus-linux-arm64-musl/package.json'),
        addon: () => require('liminal-bus-linux-arm64-musl'),
      }
    case 'darwin-x64':
      return {
        manifest: () => require('liminal-bus-darwin-x64/package.json'),
        addon: () => require('liminal-bus-darwin-x64'),
      }
    case 'darwin-arm64':
      return {
        manifest: () => require('liminal-bus-darwin-arm64/package.json'),
        addon: () => require('liminal-bus-darwin-arm64'),
      }
    case 'win32-x64-msvc':
      return {
        manifest: () => require('liminal-bus-win32-x64-msvc/package.json'),
        addon: () => require('liminal-bus-win32-x64-msvc'),
      }
    case 'win32-arm64-msvc':
      return {
        manifest: () => require('liminal-bus-win32-arm64-msvc/package.json'),
        addon: () => require('liminal-bus-win32-arm64-msvc'),
      }
    default:
      return null
  }
}

function bindingOf(addon: unknown): NativeBinding {
  if (isBinding(addon)) return addon
  const given = typeof addon === 'object' && addon !== null ? new Set(Object.keys(addon)) : new Set<string>()
  const missing = Object.keys(FUNCTIONS).filter((name) => !given.has(name))
  throw new Error(`The addon is not that of this version: it lacks ${missing.join(', ')}. Build or install it anew`)
}

function isBinding(addon: unknown): addon is NativeBinding {
  if (typeof addon !== 'object' || addon === null) return false
  const functions = new Map<string, unknown>(Object.entries(addon))
  return Object.keys(FUNCTIONS).every((name) => typeof functions.get(name) === 'function')
}

/** Null where this code was bundled into another package, whose version says nothing. */
function ownVersion(): string | null {
  let manifest: unknown
  try {
    // The same path from ts/codec and from dist/codec.
    manifest = createRequire(import.meta.url)('../../package.json')
  } catch {
    return null
  }
  return isManifest(manifest) && manifest.name === 'liminal-bus' ? manifest.version : null
}

function versionOf(manifest: unknown): string {
  return isManifest(manifest) ? manifest.version : 'unknown'
}

function isManifest(value: unknown): value is { name: string; version: string } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    typeof value.name === 'string' &&
    'version' in value &&
    typeof value.version === 'string'
  )
}
