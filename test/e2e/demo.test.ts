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
  it('kills a worker and a server, goes on without either, and leaves no process behind', async () => {
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
    const durable = [
      /not one missing/,
      /each is on disk before it is acknowledged/,
      /has accepted payments 1, 2, 3, 4$/,
      /^is killed with SIGKILL$/,
      /is started again/,
      /goes on where it was, with payments 5, 6, 7, 8, 9, 10,/,
      /it is a duplicate of position 0$/,
    ]
    const later = durable.map(said)
    expect(later).not.toContain(-1)
    expect(later).toEqual([...later].sort((a, b) => a - b))
    const pids = pidsOf(stdout)
    expect(pids).toHaveLength(6)
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
