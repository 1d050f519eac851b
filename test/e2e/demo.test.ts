import { describe, expect, it } from 'vitest'
import { Cli, liminal } from './cli.ts'

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function pidsOf(stdout: string): number[] {
  return [...stdout.matchAll(/process (\d+)/g)].map(([, pid]) => Number(pid))
}

describe('liminal demo', () => {
  it('kills a worker, goes on with the other one, and leaves no process behind', async () => {
    const { code, stdout, stderr } = await liminal(['demo', '--json'])
    expect(stderr).toBe('')
    expect(code).toBe(0)
    const told = stdout
      .trim()
      .split('\n')
      .map((line): { who: string; what: string } => JSON.parse(line))
    const said = (pattern: RegExp) => told.findIndex(({ what }) => pattern.test(what))
    const order = [
      /listens on/,
      /ask for a quote/,
      /SIGKILL/,
      /saw the connection end \(noconnection\), and gave the request on \d+ µs later/,
      /^answers the same request, at attempt 2: a telescope/,
      /have the reply [\d.]+ ms after the kill/,
    ]
    const places = order.map(said)
    expect(places).not.toContain(-1)
    expect(places).toEqual([...places].sort((a, b) => a - b))
    const killed = told[said(/SIGKILL/)].who
    expect(told[said(/^answers the same request/)].who).not.toBe(killed)
    expect(told.at(-1)).toMatchObject({ who: 'subscriber', what: expect.stringContaining('not one missing') })
    const pids = pidsOf(stdout)
    expect(pids).toHaveLength(4)
    expect(pids.filter(isRunning)).toEqual([])
  })

  it('leaves no process behind when it is interrupted', async () => {
    const demo = new Cli(['demo'])
    await demo.printed(/process \d+ listens/)
    demo.signal('SIGINT')
    const { code } = await demo.exited()
    expect([0, 130]).toContain(code)
    expect(pidsOf(demo.stdout).filter(isRunning)).toEqual([])
  })
})
