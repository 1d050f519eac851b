/** Does what the request says. */
export default async function answer(request, { attempt, signal, subject, conversationId, key, causal }) {
  if (request?.once && attempt > 1) return { attempt, did: 'survived' }
  switch (request?.do) {
    case 'loop':
      for (;;);
    case 'hang':
      return new Promise(() => {})
    case 'wait':
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    case 'throw':
      throw new RangeError('out of range')
    case 'hand-back':
      if (attempt > 1) return { attempt, did: 'took it back' }
      throw Object.assign(new Error('not now'), { name: 'HandedBackError' })
    case 'exit':
      process.exit(7)
      break
    case 'uncaught':
      setImmediate(() => {
        throw new Error('thrown outside of any call')
      })
      return new Promise(() => {})
    case 'gobble': {
      const kept = []
      for (;;) kept.push(new Array(100_000).fill(kept.length))
    }
    case 'uncloneable':
      return () => {}
    case 'parts':
      return (async function* () {
        for (let number = 0; number < request.to; number++) yield number
        return request.last
      })()
    case 'context':
      return { attempt, subject, conversationId: typeof conversationId, key, causal }
    default:
      return request
  }
}
