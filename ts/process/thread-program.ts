/**
 * What runs in each thread, as text: Node 20 cannot load TypeScript in a thread, and a file of its own would be elsewhere in the sources than in the package. It loads the module,
 * answers calls with what its default export returns, and tells at once when it is told that a call is abandoned: who does not is stuck in a loop.
 */
export const THREAD_PROGRAM = `'use strict'
const { parentPort, workerData } = require('node:worker_threads')
const calls = new Map()
let run = null

function say(message, id) {
  try {
    parentPort.postMessage(message)
  } catch (error) {
    // What cannot be copied out of here is an error of the call that said it.
    parentPort.postMessage({ is: 'threw', id, error: copyOf(error) })
  }
}

function copyOf(error) {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), code: undefined }
  return { name: String(error.name), message: String(error.message), stack: String(error.stack), code: typeof error.code === 'string' ? error.code : undefined }
}

async function answer({ id, request, context, inParts }) {
  const controller = new AbortController()
  const call = { controller, taken: 0, sent: 0, wake: null }
  calls.set(id, call)
  try {
    const result = await run(request, { ...context, signal: controller.signal })
    if (typeof result !== 'object' || result === null || !(Symbol.asyncIterator in result)) say({ is: 'value', id, value: result }, id)
    else if (inParts) await pump(id, call, result)
    else {
      await result[Symbol.asyncIterator]().return?.()
      say({ is: 'in-parts', id }, id)
    }
  } catch (error) {
    say({ is: 'threw', id, error: copyOf(error) }, id)
  } finally {
    calls.delete(id)
  }
}

async function pump(id, call, parts) {
  const iterator = parts[Symbol.asyncIterator]()
  try {
    for (;;) {
      while (call.sent >= call.taken + workerData.window && !call.controller.signal.aborted) {
        await new Promise((resolve) => { call.wake = resolve })
      }
      if (call.controller.signal.aborted) return
      const { done, value } = await iterator.next()
      if (done) {
        say({ is: 'end', id, value }, id)
        return
      }
      call.sent++
      say({ is: 'part', id, value }, id)
    }
  } finally {
    await iterator.return?.()
  }
}

parentPort.on('message', (message) => {
  const call = calls.get(message.id)
  switch (message.is) {
    case 'call':
      void answer(message)
      break
    case 'taken':
      if (call !== undefined) call.taken = message.count
      call?.wake?.()
      break
    case 'abandon':
      parentPort.postMessage({ is: 'alive', id: message.id })
      call?.controller.abort(new Error(message.reason))
      call?.wake?.()
  }
})

import(workerData.module).then(
  (loaded) => {
    if (typeof loaded.default !== 'function') throw new TypeError('It has no default export that is a function.')
    run = loaded.default
    parentPort.postMessage({ is: 'ready' })
  },
).catch((error) => parentPort.postMessage({ is: 'unfit', error: copyOf(error) }))
`
