/**
 * What runs in each thread, as text: Node 20 cannot load TypeScript in a thread, and a file of its own would be elsewhere in the sources than in the package. It loads the module,
 * answers calls with what its default export returns, and tells at once when it is told that a call is abandoned: who does not is stuck in a loop. It talks on a port of its own,
 * which the code of the module cannot see.
 */
export const THREAD_PROGRAM = `'use strict'
const { workerData } = require('node:worker_threads')
const { inspect } = require('node:util')
const { port, module: moduleUrl, window, answers } = workerData
for (const key of Object.keys(workerData)) delete workerData[key]
const calls = new Map()

// What is thrown may be anything, and looking at it may throw.
function textOf(read, otherwise) {
  try {
    const text = read()
    return typeof text === 'string' ? text : otherwise
  } catch {
    return otherwise
  }
}

function shown(value) {
  const options = { depth: 0, breakLength: Infinity, maxStringLength: 64, maxArrayLength: 4, customInspect: false }
  const text = textOf(() => inspect(value, options), 'something that cannot be shown')
  return text.length > 120 ? text.slice(0, 117) + '...' : text
}

function copyOf(thrown) {
  const isError = textOf(() => (thrown instanceof Error ? 'yes' : 'no'), 'no') === 'yes'
  if (!isError) return { name: 'Error', message: shown(thrown) }
  return {
    name: textOf(() => thrown.name, 'Error'),
    message: textOf(() => thrown.message, ''),
    stack: textOf(() => thrown.stack),
    code: textOf(() => thrown.code),
  }
}

function alone(value) {
  // The copy of a view brings all the memory along that it is a view of.
  const isView = value instanceof Uint8Array && value.byteLength < value.buffer.byteLength
  return isView ? new Uint8Array(value) : value
}

function textFor(value) {
  let text
  try {
    text = JSON.stringify(value === undefined ? null : value)
  } catch (error) {
    throw new TypeError('The payload ' + shown(value) + ' has no JSON form: ' + copyOf(error).message, { cause: error })
  }
  if (text === undefined) throw new TypeError('The payload ' + shown(value) + ' has no JSON form. Use null for "nothing".')
  return text
}

function encoded(value) {
  return answers === 'json' ? textFor(value) : alone(value)
}

async function answer({ id, request, context, inParts, resultWanted }) {
  const controller = new AbortController()
  const { signal } = controller
  const call = { controller, taken: 0, wake: null }
  calls.set(id, call)
  try {
    const run = await loading
    if (signal.aborted) return
    const result = await run(request, { ...context, signal })
    if (typeof result !== 'object' || result === null || !(Symbol.asyncIterator in result)) {
      port.postMessage({ is: 'value', id, value: resultWanted ? encoded(result) : undefined })
    } else if (inParts) await pump(id, call, signal, result)
    else {
      await result[Symbol.asyncIterator]().return?.()
      port.postMessage({ is: 'in-parts', id })
    }
  } catch (error) {
    port.postMessage({ is: 'threw', id, error: copyOf(error) })
  } finally {
    calls.delete(id)
    if (signal.aborted) port.postMessage({ is: 'settled', id })
  }
}

async function pump(id, call, signal, parts) {
  const iterator = parts[Symbol.asyncIterator]()
  try {
    for (let sent = 0; ; sent++) {
      while (sent >= call.taken + window && !signal.aborted) await new Promise((resolve) => { call.wake = resolve })
      if (signal.aborted) return
      const { done, value } = await iterator.next()
      if (signal.aborted) return
      if (done) {
        port.postMessage({ is: 'end', id, value: value === undefined ? undefined : encoded(value) })
        return
      }
      port.postMessage({ is: 'part', id, value: encoded(value) })
    }
  } finally {
    await iterator.return?.()
  }
}

port.on('message', (message) => {
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
      port.postMessage({ is: 'alive', id: message.id, isUnderway: call !== undefined })
      call?.controller.abort(new Error(message.reason))
      call?.wake?.()
  }
})

const loading = import(moduleUrl).then((loaded) => {
  if (typeof loaded.default !== 'function') throw new TypeError('It has no default export that is a function.')
  return loaded.default
})
loading.then(
  () => port.postMessage({ is: 'ready' }),
  (error) => port.postMessage({ is: 'unfit', error: copyOf(error) }),
)
`
