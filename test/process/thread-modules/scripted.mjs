import { parentPort, workerData } from 'node:worker_threads'

let openIterators = 0

/** Parts that count who still iterates over them. */
async function* parts({ to, bad }) {
  openIterators++
  try {
    for (let number = 0; number < to; number++) yield number === bad ? () => {} : number
    return 'last'
  } finally {
    openIterators--
  }
}

/** Does what the request says. */
export default async function answer(request, { signal, ...context }) {
  switch (request?.do) {
    case 'loop':
      for (;;);
    case 'hang':
      return new Promise(() => {})
    case 'wait':
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          Atomics.store(request.heard, 0, 1)
          Atomics.notify(request.heard, 0)
          reject(signal.reason)
        })
        Atomics.store(request.heard, 1, 1)
        Atomics.notify(request.heard, 1)
      })
    case 'throw':
      throw Object.assign(new RangeError('out of range'), { code: 'ERR_RANGE' })
    case 'throw-nothing-printable':
      throw Object.create(null)
    case 'throw-trap':
      throw Object.defineProperty(new Error('trapped'), 'stack', {
        get() {
          throw new Error('not even this')
        },
      })
    case 'exit':
      process.exit(request.code ?? 7)
      break
    case 'uncaught':
      setImmediate(() => {
        throw new Error('thrown outside of any call')
      })
      return new Promise(() => {})
    case 'reject':
      Promise.reject(new Error('nobody catches this'))
      return new Promise(() => {})
    case 'answer-and-die':
      setImmediate(() => {
        Atomics.store(request.told, 0, 1)
        Atomics.notify(request.told, 0)
        throw new Error('died after its answer')
      })
      return 'answered first'
    case 'gobble': {
      const kept = []
      for (;;) kept.push(new Array(100_000).fill(kept.length))
    }
    case 'uncloneable':
      return () => {}
    case 'parts':
      return parts(request)
    case 'pooled':
      return Buffer.from('a few bytes')
    case 'open-iterators':
      return openIterators
    case 'post':
      for (const message of request.messages) parentPort.postMessage(message)
      return 'posted'
    case 'worker-data':
      return Object.keys(workerData)
    case 'shut-port':
      parentPort.close()
      return 'shut'
    case 'context':
      return context
    default:
      return request
  }
}
