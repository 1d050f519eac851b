/**
 * What runs in each thread, as text: Node 20 cannot load TypeScript in a thread, and a file of its own would be elsewhere in the sources than in the package. It loads the module,
 * answers calls with what its default export returns, and tells at once when it is told that a call is abandoned: who does not is stuck in a loop. It talks on a port of its own,
 * which the code of the module cannot see.
 */
export const THREAD_PROGRAM = `'use strict'
const { workerData } = require('node:worker_threads')
const { randomUUID } = require('node:crypto')
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

// Its steps, one after the other of the same name; a failed one leaves its place to the next. Those that are recorded wait for what is said to them.
function stepsOf(id, call, recorded) {
  const places = new Map()
  const ask = (does, name, ordinal, more) =>
    new Promise((resolve, reject) => {
      if (!calls.has(id) || call.controller.signal.aborted) reject(new Error('Nobody waits for this call any more.'))
      call.lastStep++
      call.steps.set(call.lastStep, { resolve, reject })
      port.postMessage({ is: 'step', id, step: call.lastStep, does, name, ordinal, ...more })
    })
  const once = async (name, ordinal, run) => {
    const start = await ask('begin', name, ordinal)
    if (start.does === 'done') return start.output
    let output
    try {
      const value = await run({ token: start.token, attempt: start.attempt })
      output = value === undefined ? '' : textFor(value)
    } catch (error) {
      await ask('fail', name, ordinal, { message: copyOf(error).message.slice(0, 1024) })
      throw error
    }
    return (await ask('complete', name, ordinal, { output })).output
  }
  return async (name, run) => {
    if (typeof run !== 'function') throw new TypeError('run must be a function, but is ' + shown(run) + '.')
    if (!recorded) return await run({ token: randomUUID(), attempt: 1 })
    if (typeof name !== 'string') throw new TypeError('name must be a string, but is ' + shown(name) + '.')
    if (!places.has(name)) places.set(name, { next: 0, freed: [] })
    const place = places.get(name)
    const ordinal = place.freed.shift() ?? place.next++
    try {
      const output = await once(name, ordinal, run)
      return output === '' ? undefined : JSON.parse(output)
    } catch (error) {
      place.freed.push(ordinal)
      place.freed.sort((one, other) => one - other)
      throw error
    }
  }
}

function stepAnswered(call, message) {
  const waiting = call?.steps.get(message.step)
  if (waiting === undefined) return
  call.steps.delete(message.step)
  if (message.does !== 'error') waiting.resolve(message)
  else waiting.reject(Object.assign(new Error(message.message), { name: 'LiminalError', code: message.code }))
}

function endSteps(call, error) {
  for (const { reject } of call.steps.values()) reject(error)
  call.steps.clear()
}

async function answer({ id, request, context, inParts, resultWanted, recordsSteps }) {
  const controller = new AbortController()
  const { signal } = controller
  const call = { controller, taken: 0, wake: null, lastStep: 0, steps: new Map() }
  calls.set(id, call)
  try {
    const run = await loading
    if (signal.aborted) return
    const result = await run(request, { ...context, signal, step: stepsOf(id, call, recordsSteps) })
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
    endSteps(call, new Error('Nobody waits for this call any more.'))
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
    case 'step':
      stepAnswered(call, message)
      break
    case 'abandon':
      port.postMessage({ is: 'alive', id: message.id, isUnderway: call !== undefined })
      call?.controller.abort(new Error(message.reason))
      if (call !== undefined) endSteps(call, new Error(message.reason))
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
