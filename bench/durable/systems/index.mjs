import { openEmbedded, openRemote, readEmbedded } from './liminal.mjs'
import { open as openRawLog, read as readRawLog } from './raw-log.mjs'
import { loadSqlite, openBatched, openEach, read as readSqlite } from './sqlite.mjs'

const always = async () => ({ missing: null })

/**
 * What is compared. `open(directory, url)` gives something with `publish(payload)`, whose promise resolves once the payload is on disk; `read(directory, take, count)` gives
 * everything that is stored, in order. `server`: behind a server in a process of its own.
 */
export const SYSTEMS = {
  liminal: { open: openEmbedded, read: readEmbedded, server: false, find: always },
  'liminal-tcp': { open: openRemote, read: readEmbedded, server: true, find: always },
  'sqlite-each': { open: openEach, read: readSqlite, server: false, find: loadSqlite },
  'sqlite-batched': { open: openBatched, read: readSqlite, server: false, find: loadSqlite },
  'raw-log': { open: openRawLog, read: readRawLog, server: false, find: always },
}
