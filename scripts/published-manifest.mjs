// Puts the published package.json in the place of the checkout's while npm packs, and the checkout's back afterwards, byte for byte.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { publishedManifest } from './manifests.mjs'

const inPlace = new URL('../package.json', import.meta.url)
const setAside = new URL('../package.json.checkout', import.meta.url)

/** Writes the published package.json; the checkout's is set aside. One that a pack which died left there is put back first. */
export function enterPublished() {
  restoreCheckout()
  const text = readFileSync(inPlace, 'utf8')
  // The copy is complete before the original changes, and both files change by a rename: a crash in between loses neither.
  replace(setAside, text)
  replace(inPlace, `${JSON.stringify(publishedManifest(JSON.parse(text)), null, 2)}\n`)
}

/** Puts the checkout's package.json back. Does nothing if it is in place. */
export function restoreCheckout() {
  if (existsSync(setAside)) renameSync(setAside, inPlace)
}

function replace(file, text) {
  const draft = new URL(`${file.href}.${process.pid}`)
  writeFileSync(draft, text)
  renameSync(draft, file)
}
