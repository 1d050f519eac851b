import { CRC_FROM, LAST_SLOT, RECORDS, REMAINS, STREAM_SLOT, VALUE_VERSION } from './layout.ts'

/** Most records, and bytes of them, that are deleted in one transaction: whoever writes waits for so much at most. A record that is larger than all of it is deleted alone. */
const STEP_RECORDS = 2_000
const STEP_BYTES = 16 * 1024 * 1024

/**
 * The part of the commit thread's program that deletes the records of streams that were truncated or removed. The entry in the directory changes at once, and with it all that is read; of the
 * records, a transaction deletes as many as it may. What remains is noted in the file, and deleted between the commits that follow, also by the next process. A prefix is the beginning of the keys of a
 * stream's records; what it has for a slot does not matter.
 */
export const REMAINS_PROGRAM = `
// Streams, by their prefix as text, with records that are not theirs any more.
const remains = new Map()
let isSweepDue = false

for (const key of workerData.remains) {
  const prefix = Buffer.concat([Buffer.of(${RECORDS}), key, Buffer.of(${STREAM_SLOT})])
  remains.set(prefix.latin1Slice(), prefix)
}

function newBudget() {
  return { records: ${STEP_RECORDS}, bytes: ${STEP_BYTES} }
}

// Sorts before the keys of all records of a slot.
function slotBound(prefix, slot) {
  const key = Buffer.from(prefix)
  key[key.length - 1] = slot
  return key
}

// Where the keys of records lie that are not a stream's any more; 'kept' is null if none of them are its own.
function foreignRanges(prefix, kept) {
  const low = slotBound(prefix, ${STREAM_SLOT})
  const high = slotBound(prefix, ${LAST_SLOT + 1})
  if (kept === null) return [[low, high]]
  const start = Buffer.concat([slotBound(prefix, kept.slot), Buffer.alloc(8)])
  start.writeBigUInt64BE(kept.first, start.length - 8)
  // The record with the first event may begin before it.
  let end = start
  for (const key of db.getKeys({ start, end: slotBound(prefix, kept.slot), reverse: true, limit: 1 })) end = key
  return [[low, end], [slotBound(prefix, kept.slot + 1), high]]
}

// Deletes what is not a stream's any more, as far as the budget allows; notes whether something remains, and returns whether nothing does.
function deleteForeign(prefix, kept, stage, budget) {
  const isDone = foreignRanges(prefix, kept).every(([start, end]) => deleteRange(start, end, stage, budget))
  noteRemains(prefix, !isDone, stage)
  return isDone
}

function deleteRange(start, end, stage, budget) {
  for (const key of [...db.getKeys({ start, end, limit: budget.records + 1 })]) {
    if (budget.records === 0 || budget.bytes <= 0) return false
    const size = key.length + db.getBinaryFast(key).length
    stage.used -= size
    budget.records--
    budget.bytes -= size
    db.removeSync(key)
  }
  return true
}

function hasRemains(name, stage) {
  const staged = stage.remains.get(name)
  return staged === undefined ? remains.has(name) : staged !== null
}

function noteRemains(prefix, isLeft, stage) {
  const own = slotBound(prefix, ${STREAM_SLOT})
  const name = own.latin1Slice()
  if (isLeft === hasRemains(name, stage)) return
  const key = Buffer.from(own)
  key[0] = ${REMAINS}
  if (isLeft) {
    const value = Buffer.alloc(${CRC_FROM})
    value[0] = ${VALUE_VERSION}
    seal(key, value)
    db.putSync(key, value)
  } else db.removeSync(key)
  stage.remains.set(name, isLeft ? own : null)
}

// The slot of a stream that begins now: one without records of its former lives.
function freeSlot(prefix, stage) {
  if (!hasRemains(slotBound(prefix, ${STREAM_SLOT}).latin1Slice(), stage)) return ${STREAM_SLOT}
  for (let slot = ${STREAM_SLOT}; slot <= ${LAST_SLOT}; slot++) {
    const found = [...db.getKeys({ start: slotBound(prefix, slot), end: slotBound(prefix, slot + 1), limit: 1 })]
    if (found.length === 0) return slot
  }
  // It was removed again and again before anything could be deleted.
  while (!deleteForeign(prefix, null, stage, newBudget()));
  return ${STREAM_SLOT}
}

// Goes on with what remains of a stream.
function sweep(prefix, stage, budget) {
  const name = prefix.latin1Slice()
  try {
    const head = stage.heads.get(name) ?? loadHead(prefix)
    return deleteForeign(prefix, head.exists && head.first !== head.next ? head : null, stage, budget)
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    // Where its records begin cannot be known any more: they stay until the stream is removed.
    stage.remains.set(name, null)
    return true
  }
}

// A write that does not fit is not refused while there is something that is to go anyway.
function makeRoom(stage, all) {
  for (const [name, prefix] of [...remains, ...all.remains]) {
    while (stage.used > maxBytes && prefix !== null && hasRemains(name, all)) {
      const before = all.used
      sweep(prefix, all, newBudget())
      stage.used -= before - all.used
    }
  }
}

function sweepLater() {
  if (isSweepDue || isClosing || remains.size === 0) return
  isSweepDue = true
  // Writes that have come meanwhile are first.
  setImmediate(sweepSome)
}

function sweepSome() {
  isSweepDue = false
  if (isClosing || unsynced !== null) return
  const all = new Stage()
  try {
    db.transactionSync(() => sweep(remains.values().next().value, all, all.budget), flags)
  } catch {
    // Nobody waits for it, and nothing is lost but room: the next commit that succeeds has it tried again.
    return
  }
  made(all)
  sweepLater()
}
`
