// The package.json files of what is published: the main package's, made from the one in git, and the platform packages'.
import { addonName, packageName, platforms } from './platforms.mjs'

/** Fields of the checkout's package.json that mean nothing to a consumer, or would run something on install. */
const CHECKOUT_ONLY = ['scripts', 'devDependencies', 'napi']

/**
 * The main package as it is published: no script, no development dependency, and every platform package of exactly this version as an
 * optional dependency. They are not in git, because `npm ci` could not resolve a version before it is published.
 */
export function publishedManifest(manifest) {
  const kept = Object.entries(manifest).filter(([field]) => !CHECKOUT_ONLY.includes(field))
  const optionalDependencies = Object.fromEntries(
    platforms.map((platform) => [packageName(platform), manifest.version]),
  )
  return { ...Object.fromEntries(kept), optionalDependencies }
}

/** The package.json of a platform package; what all packages share is taken from the main one. */
export function platformManifest(platform, manifest) {
  return {
    name: packageName(platform),
    version: manifest.version,
    description: `The native codec of liminal-bus for ${platform.title}.`,
    license: manifest.license,
    author: manifest.author,
    main: addonName(platform),
    files: [addonName(platform), 'LICENSE'],
    os: [platform.os],
    cpu: [platform.cpu],
    ...(platform.libc ? { libc: [platform.libc] } : {}),
    engines: manifest.engines,
  }
}

/** The README of a platform package. */
export function platformReadme(platform) {
  return [
    `# ${packageName(platform)}`,
    '',
    `The native codec of liminal-bus for ${platform.title} (\`${platform.target}\`).`,
    '',
    'It is an optional dependency of `liminal-bus`, which installs it where it fits. There is no reason to install it by hand.',
    '',
  ].join('\n')
}
