// A file that is appended to: everything that came while the last batch was written goes into the next, one fdatasync each. The floor of what a log can cost.
import { createReadStream } from 'node:fs'
import { open as openFile } from 'node:fs/promises'
import { join } from 'node:path'

const FILE = 'messages.log'
const HEAD_BYTES = 4

export async function open(directory) {
  const file = await openFile(join(directory, FILE), 'a')
  let waiting = []
  let writing = false
  const write = async () => {
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      await append(file, joined(batch))
      await file.datasync()
      for (const { resolve } of batch) resolve()
    }
    writing = false
  }
  return {
    publish(payload) {
      return new Promise((resolve, reject) => {
        waiting.push({ payload, resolve })
        if (writing) return
        writing = true
        // What is published in this turn shares the first batch.
        queueMicrotask(() => write().catch(reject))
      })
    },
  }
}

export async function read(directory, take) {
  let rest = Buffer.alloc(0)
  for await (const chunk of createReadStream(join(directory, FILE), { highWaterMark: 1 << 20 })) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (at + HEAD_BYTES <= bytes.length) {
      const end = at + HEAD_BYTES + bytes.readUInt32LE(at)
      if (end > bytes.length) break
      take(bytes.subarray(at + HEAD_BYTES, end))
      at = end
    }
    rest = bytes.subarray(at)
  }
  if (rest.length > 0) throw new Error('The raw log ends within a message.')
}

function joined(batch) {
  const bytes = Buffer.allocUnsafe(batch.reduce((sum, { payload }) => sum + HEAD_BYTES + payload.length, 0))
  let at = 0
  for (const { payload } of batch) {
    bytes.writeUInt32LE(payload.length, at)
    bytes.set(payload, at + HEAD_BYTES)
    at += HEAD_BYTES + payload.length
  }
  return bytes
}

/** A write may end early: the rest is written again. */
async function append(file, bytes) {
  for (let rest = bytes; rest.length > 0; ) {
    const { bytesWritten } = await file.write(rest)
    rest = rest.subarray(bytesWritten)
  }
}
