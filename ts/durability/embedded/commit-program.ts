import {
  CRC_AT,
  CRC_FROM,
  DIRECTORY,
  HEAD_BYTES,
  MARK_KEY,
  RECORD_HEADER_BYTES,
  STREAM_SLOT,
  VALUE_HEADER_BYTES,
  VALUE_VERSION,
} from './layout.ts'
import { REMAINS_PROGRAM } from './remains-program.ts'
import { OP } from './write-batch.ts'

/** Streams whose place in the directory the thread remembers. */
const MOST_HEADS = 1_024

/**
 * What runs in the thread that commits, as text: Node 20 cannot load TypeScript in a thread, and a file of its own would be elsewhere in the sources than in the package. It has the only
 * transactions that write, so that what is expected is looked up where it cannot change any more.
 */
export const COMMIT_PROGRAM = `'use strict'
const { parentPort, receiveMessageOnPort, workerData } = require('node:worker_threads')
const { crc32 } = require('node:zlib')
const fs = require('node:fs')

const { lmdb, path, sync, syncIntervalMs, maxBytes, mark } = workerData
const NO_SYNC_FLUSH = 0x10000
const flags = sync === 'each' ? 2 : 2 | NO_SYNC_FLUSH
const markKey = Buffer.from('${Buffer.from(MARK_KEY).toString('hex')}', 'hex')
let used = workerData.used
let streams = workerData.streams
let db = null
let file = null
let syncTimer = null
// Why a sync has failed. The system may have dropped what it could not write, and says so once: a later sync would succeed without it. So nothing is committed any more.
let unsynced = null
let isClosing = false

// Where the streams written last stand, as committed: nobody else writes, and none is looked up again for each commit.
const heads = new Map()

// A write that is refused alone; whatever else is thrown ends the commit.
class Refused extends Error {
  constructor(is, found) {
    super(is)
    this.is = is
    this.found = found
  }
}

function failureOf(error) {
  return { message: String(error && error.message), code: (error && error.code) ?? null }
}

function crcOf(key, value) {
  return crc32(value.subarray(${CRC_FROM}), crc32(value.subarray(0, ${CRC_AT}), crc32(key)))
}

function seal(key, value) {
  value.writeUInt32LE(crcOf(key, value), ${CRC_AT})
}

function isSound(key, value) {
  return value.length >= ${CRC_FROM} && value[0] === ${VALUE_VERSION} && value.readUInt32LE(${CRC_AT}) === crcOf(key, value)
}

// What the writes of a commit have changed so far, and what the one at hand has, until it is known that all of its expectations hold.
class Stage {
  heads = new Map()
  below = new Map()
  values = new Map()
  // What changes of what remains: the prefix of a stream, or null if nothing does any more.
  remains = new Map()
  // What may be deleted still.
  budget = newBudget()
  used = used
  streams = streams

  fork() {
    const own = new Stage()
    own.below = this.heads
    own.remains = this.remains
    own.budget = this.budget
    own.used = this.used
    own.streams = this.streams
    return own
  }

  // The stream with records under this prefix, to be changed.
  head(prefix) {
    const name = prefix.latin1Slice()
    let head = this.heads.get(name)
    if (head !== undefined) return head
    const known = this.below.get(name) ?? heads.get(name)
    head = known === undefined ? loadHead(prefix) : { ...known }
    this.heads.set(name, head)
    return head
  }
}

function loadHead(prefix) {
  const key = Buffer.from(prefix)
  key[0] = ${DIRECTORY}
  const value = db.getBinary(key)
  if (value === undefined) return { key, exists: false, wasThere: false, slot: null, first: 0n, next: 0n, total: 0n, last: 0 }
  if (value.length !== ${HEAD_BYTES} || !isSound(key, value)) throw new Refused('corrupt', null)
  return {
    key,
    exists: true,
    wasThere: true,
    slot: ${STREAM_SLOT} + value[1],
    first: value.readBigUInt64LE(8),
    next: value.readBigUInt64LE(16),
    total: value.readBigUInt64LE(24),
    last: value.readDoubleLE(32),
  }
}

// A damaged stream can be removed: that mends the store.
function headToRemove(prefix, stage) {
  try {
    return stage.head(prefix)
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    const key = Buffer.from(prefix)
    key[0] = ${DIRECTORY}
    const head = { key, exists: true, wasThere: true }
    stage.heads.set(prefix.latin1Slice(), head)
    return head
  }
}

function storeHead(head) {
  if (!head.exists) {
    if (head.wasThere) db.removeSync(head.key)
    return
  }
  const value = Buffer.alloc(${HEAD_BYTES})
  value[0] = ${VALUE_VERSION}
  value[1] = head.slot - ${STREAM_SLOT}
  value.writeBigUInt64LE(head.first, 8)
  value.writeBigUInt64LE(head.next, 16)
  value.writeBigUInt64LE(head.total, 24)
  value.writeDoubleLE(head.last, 32)
  seal(head.key, value)
  db.putSync(head.key, value)
}

// Checks a change and stages it; returns what is left to be done, or null.
function stageChange(change, timestamp, stage) {
  const { op, key, value } = change
  switch (op) {
    case ${OP.append}: {
      const prefix = Buffer.from(key.subarray(0, key.length - 8))
      const head = stage.head(prefix)
      const expected = key.readBigUInt64BE(key.length - 8)
      if (head.next !== expected) throw new Refused('sequence', head.next)
      const count = value.readUInt32LE(24)
      if (!head.exists) {
        head.exists = true
        stage.streams++
        stage.used += head.key.length + ${HEAD_BYTES}
      }
      if (timestamp > head.last) head.last = timestamp
      value.writeDoubleLE(head.last, 8)
      value.writeBigUInt64LE(head.total, 16)
      head.next += BigInt(count)
      head.total += BigInt(value.length - ${RECORD_HEADER_BYTES} - 4 * count)
      stage.used += key.length + value.length
      return () => {
        head.slot ??= freeSlot(prefix, stage)
        key[prefix.length - 1] = head.slot
        seal(key, value)
        db.putSync(key, value)
      }
    }
    case ${OP.truncate}: {
      const prefix = key.subarray(0, key.length - 8)
      const head = stage.head(prefix)
      const wanted = key.readBigUInt64BE(key.length - 8)
      if (!head.exists || wanted <= head.first) return null
      head.first = wanted < head.next ? wanted : head.next
      const [first, isEmpty] = [head.first, head.first === head.next]
      return () => deleteForeign(prefix, isEmpty ? null : { slot: head.slot, first }, stage, stage.budget)
    }
    case ${OP.remove}: {
      const prefix = key.subarray(0, key.length - 8)
      const head = headToRemove(prefix, stage)
      if (!head.exists) return null
      stage.streams--
      stage.used -= head.key.length + ${HEAD_BYTES}
      Object.assign(head, { exists: false, first: 0n, next: 0n, total: 0n, last: 0 })
      return () => {
        head.slot = null
        deleteForeign(prefix, null, stage, stage.budget)
      }
    }
    case ${OP.compareAndSet}: {
      const found = numberAt(key, stage)
      if (found !== change.expected) throw new Refused('number', found)
    }
    // falls through
    case ${OP.set}:
    case ${OP.unset}: {
      const before = valueLengthAt(key, stage)
      if (before !== null) stage.used -= key.length + before
      if (op !== ${OP.unset}) stage.used += key.length + value.length
      stageValue(stage, key, op === ${OP.unset} ? null : value)
      if (op !== ${OP.unset}) return () => db.putSync(key, value)
      return before === null ? null : () => db.removeSync(key)
    }
  }
  throw new Error('The batch is not of this format.')
}

function stageValue(stage, key, value) {
  stage.values.set(key.latin1Slice(), value)
}

function valueAt(key, stage) {
  const staged = stage.values.get(key.latin1Slice())
  if (staged !== undefined) return staged
  const value = db.getBinary(key)
  return value === undefined ? null : value
}

function valueLengthAt(key, stage) {
  const value = valueAt(key, stage)
  return value === null ? null : value.length
}

function numberAt(key, stage) {
  const value = valueAt(key, stage)
  if (value === null) return null
  if (!isSound(key, value)) throw new Refused('corrupt', null)
  return value[1] === 2 ? value.readBigUInt64LE(${VALUE_HEADER_BYTES}) : 'no number but bytes'
}

${REMAINS_PROGRAM}
function read(bytes) {
  const buffer = Buffer.from(bytes)
  let at = 0
  return {
    write() {
      const write = { changes: buffer.readUInt32LE(at), timestamp: buffer.readDoubleLE(at + 4) }
      at += 12
      return write
    },
    change() {
      const op = buffer[at]
      const keyLength = buffer.readUInt16LE(at + 1)
      const valueLength = buffer.readUInt32LE(at + 3)
      at += 7
      let expected = null
      if (op === ${OP.compareAndSet}) {
        if (buffer[at] === 1) expected = buffer.readBigUInt64LE(at + 1)
        at += 9
      }
      const key = buffer.subarray(at, at + keyLength)
      at += keyLength
      const value = buffer.subarray(at, at + valueLength)
      at += valueLength
      return { op, key, value, expected }
    },
  }
}

function runWrite(changes, timestamp, all) {
  const stage = all.fork()
  const steps = []
  let index = 0
  try {
    for (; index < changes.length; index++) {
      const step = stageChange(changes[index], timestamp, stage)
      if (step !== null) steps.push(step)
    }
    if (maxBytes !== null && stage.used > all.used) makeRoom(stage, all)
    if (maxBytes !== null && stage.used > maxBytes && stage.used > all.used) throw new Refused('full', stage.used - all.used)
  } catch (error) {
    if (error instanceof Refused) return { change: Math.min(index, changes.length - 1), is: error.is, found: error.found }
    throw error
  }
  for (const step of steps) step()
  for (const [name, head] of stage.heads) all.heads.set(name, head)
  all.used = stage.used
  all.streams = stage.streams
  return null
}

function keepHead(name, head) {
  heads.delete(name)
  if (!head.exists) return
  head.wasThere = true
  heads.set(name, head)
  if (heads.size > ${MOST_HEADS}) heads.delete(heads.keys().next().value)
}

// What a transaction was for has come about.
function made(all) {
  for (const [name, head] of all.heads) keepHead(name, head)
  used = all.used
  streams = all.streams
  for (const [name, prefix] of all.remains) {
    if (prefix === null) remains.delete(name)
    else remains.set(name, prefix)
  }
  if (sync === 'interval') syncTimer ??= setTimeout(flush, syncIntervalMs)
}

function commit(batches) {
  const refused = []
  let writes = 0
  const all = new Stage()
  try {
    if (unsynced !== null) throw Object.assign(new Error(unsynced.message), { code: unsynced.code })
    db.transactionSync(() => {
      for (const { bytes, count } of batches) {
        const batch = read(bytes)
        for (let at = 0; at < count; at++, writes++) {
          const { changes: length, timestamp } = batch.write()
          const changes = Array.from({ length }, batch.change)
          const refusal = runWrite(changes, timestamp, all)
          if (refusal !== null) refused.push({ write: writes, ...refusal })
        }
      }
      for (const head of all.heads.values()) storeHead(head)
    }, flags)
  } catch (error) {
    const lost = batches.reduce((sum, { count }) => sum + count, 0)
    const end = unsynced !== null ? 'sync' : isUsable() ? null : 'commit'
    parentPort.postMessage({ is: 'failed', writes: lost, failure: failureOf(error), end })
    return
  }
  made(all)
  const memory = batches[0].bytes
  parentPort.postMessage({ is: 'committed', writes, refused, streams, memory }, [memory])
  sweepLater()
}

// Where a meta page could not be written LMDB makes no transaction any more: on the disk may be the page of before or the new one.
function isUsable() {
  try {
    db.transactionSync(() => {}, flags)
    return true
  } catch {
    return false
  }
}

function flush() {
  clearTimeout(syncTimer)
  syncTimer = null
  if (unsynced !== null) return unsynced
  try {
    fs.fdatasyncSync(file)
  } catch (error) {
    unsynced = failureOf(error)
  }
  return unsynced
}

async function close() {
  isClosing = true
  const failure = flush()
  await db.close()
  fs.closeSync(file)
  parentPort.postMessage({ is: 'closed', failure })
  parentPort.close()
}

parentPort.on('message', (message) => {
  let batches = []
  for (let next = message; next !== undefined; next = receiveMessageOnPort(parentPort)?.message) {
    if (next.is === 'writes') batches.push(next)
    else {
      if (batches.length > 0) commit(batches)
      batches = []
      if (next.is === 'flush') parentPort.postMessage({ is: 'flushed', failure: flush() })
      else void close()
    }
  }
  if (batches.length > 0) commit(batches)
})

try {
  db = require(lmdb).open({ path, keyEncoding: 'binary', encoding: 'binary', overlappingSync: false })
  file = fs.openSync(path, 'r+')
  if (mark !== null) db.transactionSync(() => db.putSync(markKey, Buffer.from(mark)), 2)
  // What a process that was killed has committed may be nowhere but with the system, and whoever asks for it is told that it is stored.
  if (mark !== null || sync !== 'os') fs.fdatasyncSync(file)
  parentPort.postMessage({ is: 'ready' })
  sweepLater()
} catch (error) {
  parentPort.postMessage({ is: 'unfit', failure: failureOf(error) })
  parentPort.close()
}
`
