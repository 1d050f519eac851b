// A table in SQLite: WAL, synchronous=FULL, so that every commit is an fsync of the log. Each publish commits by itself, or all of one turn of the event loop together.
import { join } from 'node:path'

/** The addon, or why it is not there. */
export async function loadSqlite() {
  try {
    const { default: Database } = await import('better-sqlite3')
    new Database(':memory:').close()
    return { Database, missing: null }
  } catch (error) {
    return { Database: null, missing: `better-sqlite3 cannot be loaded: ${error.message}` }
  }
}

export async function openEach(directory) {
  const { insert } = await openTable(directory)
  return {
    // Synchronous: whoever waits behind it in this turn waits for its fsync too.
    async publish(payload) {
      insert.run(payload)
    },
  }
}

export async function openBatched(directory) {
  const { insert, database } = await openTable(directory)
  const insertAll = database.transaction((payloads) => {
    for (const payload of payloads) insert.run(payload)
  })
  let waiting = []
  const commit = () => {
    const batch = waiting
    waiting = []
    insertAll(batch.map(({ payload }) => payload))
    for (const { resolve } of batch) resolve()
  }
  return {
    publish(payload) {
      return new Promise((resolve) => {
        if (waiting.length === 0) setImmediate(commit)
        waiting.push({ payload, resolve })
      })
    },
  }
}

export async function read(directory, take) {
  const { database } = await openTable(directory)
  for (const { payload } of database.prepare('SELECT payload FROM messages ORDER BY position').iterate()) take(payload)
  database.close()
}

async function openTable(directory) {
  const { Database, missing } = await loadSqlite()
  if (missing !== null) throw new Error(missing)
  const database = new Database(join(directory, 'messages.db'))
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  database.exec('CREATE TABLE IF NOT EXISTS messages (position INTEGER PRIMARY KEY, payload BLOB NOT NULL)')
  return { database, insert: database.prepare('INSERT INTO messages (payload) VALUES (?)') }
}
