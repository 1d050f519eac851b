// Kills a server under load again and again, and says whether anything was lost, doubled or left out.
// node scripts/faults.mjs [--rounds 1000] [--seed N]; prints JSON, exits with 1 if something is wrong. The build must be there.
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { register } from 'tsx/esm/api'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(randomInt(2 ** 31)) },
  },
})
const rounds = whole('rounds', values.rounds, 1)
const seed = whole('seed', values.seed, 0)

register()
const { killRounds } = await import('../test/faults/kills/kill-rounds.ts')
const say = (round) => {
  if (round % 50 === 0) process.stderr.write(`round ${round} of ${rounds}, seed ${seed}\n`)
}
try {
  console.log(JSON.stringify(await killRounds({ rounds, seed, onRound: say }), null, 2))
} catch (error) {
  process.stderr.write(`${error.stack}\n`)
  process.exitCode = 1
}

function whole(name, text, least) {
  const value = Number(text)
  if (Number.isInteger(value) && value >= least) return value
  throw new Error(`--${name} must be a whole number from ${least} on, but is '${text}'.`)
}
