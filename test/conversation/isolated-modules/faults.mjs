/** Does what the request says. */
export default async function answer(request, { signal, attempt }) {
  switch (request?.do) {
    case 'loop':
      for (;;);
    case 'hang':
      return new Promise(() => {})
    case 'wait':
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    case 'exit':
      if (attempt > 1) return { attempt }
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
    case 'no answer':
      return () => {}
    default:
      return request
  }
}
