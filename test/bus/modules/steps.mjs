import { appendFileSync } from 'node:fs'

/** Runs the steps of a request; at its first attempt it dies between two of them. */
export default async function run({ log, die }, { step, attempt }) {
  const note = (text) => appendFileSync(log, `${text}\n`)
  const first = await step('first', ({ token }) => {
    note(`first ${token.length}`)
    return { made: 'here' }
  })
  if (die && attempt === 1) process.exit(1)
  const failed = await step('second', () => {
    throw new RangeError('not yet')
  }).catch((error) => error.message)
  const second = await step('second', ({ attempt: tried }) => `try ${tried}`)
  const large = await step('large', () => 'x'.repeat(1024 * 1024)).then(
    () => 'kept',
    (error) => error.code,
  )
  const nothing = await step('nothing', () => {})
  return [first, failed, second, large, nothing === undefined, attempt]
}
