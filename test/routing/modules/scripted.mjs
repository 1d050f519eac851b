/** Does what the message says. */
export default async function choose({ message, key, attempt, consumers }) {
  switch (message.do) {
    case 'loop':
      for (;;);
    case 'hang':
      return new Promise(() => {})
    case 'throw':
      throw new Error('the function says no')
    case 'exit':
      process.exit(3)
      break
    case 'gobble': {
      const kept = []
      for (;;) kept.push(new Array(100_000).fill(kept.length))
    }
    case 'nonsense':
      return 7
    case 'report':
      return JSON.stringify({ key, attempt, consumers })
    default:
      return consumers.find((consumer) => consumer.available > 0)?.id ?? null
  }
}
