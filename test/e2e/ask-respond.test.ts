import { describe, expect, it } from 'vitest'
import { Cli, liminal, sharedServer, startResponder } from './cli.ts'
import { HangingCommand } from './hanging-command.ts'

describe('liminal ask and respond', () => {
  const shared = sharedServer()

  it('reply with the request, untouched', async () => {
    const url = shared()
    await startResponder(url, 'mirror', '--echo')
    const { code, stdout } = await liminal(['ask', 'mirror', '{"b": 1.0, "a": "é"}', '--url', url])
    expect({ code, stdout }).toEqual({ code: 0, stdout: '{"b": 1.0, "a": "é"}\n' })
    const json = await liminal(['ask', 'mirror', '--text', 'Ada', '--url', url, '--json'])
    expect(JSON.parse(json.stdout)).toEqual({ subject: 'mirror', value: 'Ada', milliseconds: expect.any(Number) })
  })

  it('reply with what a command makes of the request', async () => {
    const url = shared()
    const script = 'const {a, b} = JSON.parse(require("fs").readFileSync(0)); console.log(a + b)'
    await startResponder(url, 'sum', '--exec', `'${process.execPath}' -e '${script}'`)
    expect((await liminal(['ask', 'sum', '{"a":2,"b":3}', '--url', url])).stdout).toBe('5\n')
    const failed = await liminal(['ask', 'sum', 'null', '--url', url])
    expect(failed.code).toBe(1)
    expect(failed.stderr).toContain('RESPONDER_FAILED: ')
  })

  it('reply always the same', async () => {
    const url = shared()
    await startResponder(url, 'fixed', '--reply', '{"ok": true}')
    expect((await liminal(['ask', 'fixed', '1', '--url', url])).stdout).toBe('{"ok": true}\n')
  })

  it('fail where nobody answers: exit code 1', async () => {
    const url = shared()
    const { code, stderr } = await liminal(['ask', 'nobody', '1', '--url', url, '--json'])
    expect(code).toBe(1)
    expect(JSON.parse(stderr).error).toMatchObject({ code: 'NO_RESPONDER', retryable: true })
  })

  it('give up in time with exit code 4, and kill the command that nobody waits for', async () => {
    const url = shared()
    const command = await HangingCommand.create()
    await startResponder(url, 'slow', '--exec', command.line)
    const asker = new Cli(['ask', 'slow', '1', '--url', url, '--timeout', '3000'])
    await command.started
    expect((await asker.exited()).code).toBe(4)
    expect(asker.stderr).toContain('TIMEOUT: ')
    await command.died
    command.close()
  })

  it('kill the command when the asker is interrupted', async () => {
    const url = shared()
    const command = await HangingCommand.create()
    await startResponder(url, 'interrupted', '--exec', command.line)
    const asker = new Cli(['ask', 'interrupted', '1', '--url', url, '--timeout', '60000'])
    await command.started
    asker.signal('SIGINT')
    expect((await asker.exited()).code).toBe(130)
    await command.died
    command.close()
  })

  it('withdraw a responder by a signal with exit code 0', async () => {
    const url = shared()
    const responder = await startResponder(url, 'withdrawn', '--echo')
    responder.signal('SIGTERM')
    expect(await responder.exited()).toEqual({ code: 0, signal: null })
    expect((await liminal(['ask', 'withdrawn', '1', '--url', url])).stderr).toContain('NO_RESPONDER: ')
  })
})
