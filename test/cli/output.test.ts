import { describe, expect, it } from 'vitest'
import { exitCodeOf } from '../../ts/cli/exit-codes.ts'
import { RefusedLine } from '../../ts/cli/failure.ts'
import { Output } from '../../ts/cli/output.ts'
import { LiminalError, ProtocolError } from '../../ts/errors.ts'
import { Collected } from './streams.ts'

function outputWith({ json = false, verbose = false, terminal = false, environment = {} } = {}) {
  const stdout = new Collected({ terminal })
  const stderr = new Collected({ terminal })
  return { stdout, stderr, output: new Output({ stdout, stderr, json, verbose, environment }) }
}

describe('output', () => {
  it('says code, message and what to do', () => {
    const { output, stderr, stdout } = outputWith()
    output.fail(new LiminalError('NO_RESPONDER', 'nobody answers "greet"'))
    expect(stderr.lines).toEqual([
      'NO_RESPONDER: nobody answers "greet"',
      'hint: start one: liminal respond <subject> --echo',
    ])
    expect(stdout.text).toBe('')
  })

  it('says the reason code of a protocol error', () => {
    const { output, stderr } = outputWith()
    output.fail(new ProtocolError('CodecError', 9, 'bytes left over'))
    expect(stderr.lines).toEqual(['CodecError: bytes left over (reason code 9)'])
  })

  it('says what led to an error only when asked', () => {
    const error = new LiminalError('CONNECTION_FAILED', 'cannot connect', {
      cause: new Error('first', { cause: Object.assign(new Error('second'), { code: 'ECONNREFUSED' }) }),
    })
    const quiet = outputWith()
    quiet.output.fail(error)
    expect(quiet.stderr.text).not.toContain('second')
    const verbose = outputWith({ verbose: true })
    verbose.output.fail(error)
    expect(verbose.stderr.lines.slice(-2)).toEqual([
      '  caused by Error: first',
      '  caused by Error: ECONNREFUSED: second',
    ])
  })

  it.each([false, true])('lets no escape sequence of a peer reach the terminal (json: %s)', (json) => {
    const { output, stderr } = outputWith({ json, verbose: true, terminal: true })
    const text = 'line\n\u001b[2J\u009b31m\u007f\u2028 é'
    const error = new LiminalError('RESPONDER_FAILED', text, { cause: new Error(text) })
    output.fail(error)
    const ours = output.styleNote('red', 'RESPONDER_FAILED')
    expect(stderr.lines.join('').replace(ours, '')).not.toMatch(/[\p{Cc}\u2028]/u)
    expect(stderr.text).toContain('\\u001b[2J\\u009b31m\\u007f\\u2028 é')
    expect(stderr.lines).toHaveLength(json ? 1 : 2)
    if (json) expect(JSON.parse(stderr.lines[0]).error.message).toBe(text)
  })

  it('survives causes in a circle', () => {
    const error = new Error('round')
    error.cause = error
    const { output, stderr } = outputWith({ verbose: true })
    output.fail(error)
    expect(stderr.lines.length).toBeLessThan(20)
  })

  it('gives errors as one line of JSON for machines', () => {
    const { output, stderr } = outputWith({ json: true })
    output.fail(new RefusedLine(17, new LiminalError('CHANNEL_CLOSED', 'the channel is closed')))
    expect(stderr.lines).toHaveLength(1)
    expect(JSON.parse(stderr.lines[0])).toEqual({
      error: { code: 'CHANNEL_CLOSED', message: 'line 17: the channel is closed', retryable: false, line: 17 },
    })
  })

  it('uses colours on a terminal only, and never against NO_COLOR', () => {
    expect(outputWith({ terminal: true }).output.style('red', 'x')).toBe('\u001b[31mx\u001b[0m')
    expect(outputWith().output.style('red', 'x')).toBe('x')
    expect(outputWith({ terminal: true, environment: { NO_COLOR: '1' } }).output.style('red', 'x')).toBe('x')
    expect(outputWith({ terminal: true, environment: { NO_COLOR: '' } }).output.style('red', 'x')).not.toBe('x')
    expect(outputWith({ terminal: true, environment: { TERM: 'dumb' } }).output.styleNote('red', 'x')).toBe('x')
  })

  it('shows progress on a terminal only, and takes it back before the next line', () => {
    const watched = outputWith({ terminal: true })
    watched.output.progress('half')
    watched.output.note('done')
    expect(watched.stderr.text).toBe('\r\u001b[Khalf\r\u001b[Kdone\n')
    const piped = outputWith()
    piped.output.progress('half')
    expect(piped.stderr.text).toBe('')
  })
})

describe('exit codes', () => {
  it.each([
    ['CHANNEL_NOT_FOUND', 1],
    ['INVALID_ARGUMENT', 2],
    ['CONNECTION_FAILED', 3],
    ['CONNECTION_LOST', 3],
    ['LISTEN_FAILED', 3],
    ['AuthenticationFailure', 3],
    ['TIMEOUT', 4],
  ] as const)('%s gives %i', (code, exitCode) => {
    expect(exitCodeOf(new LiminalError(code, 'x'))).toBe(exitCode)
  })

  it("is 1 for what nobody foresaw, and the cause's for a refused line", () => {
    expect(exitCodeOf(new Error('x'))).toBe(1)
    expect(exitCodeOf(new RefusedLine(1, new LiminalError('CONNECTION_LOST', 'x')))).toBe(3)
  })
})
