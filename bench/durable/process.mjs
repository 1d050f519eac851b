import { fork } from 'node:child_process'
import { once } from 'node:events'

/** Children that run now. A benchmark that is interrupted leaves none behind. */
const running = new Set()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))

/** Starts a program of `roles/`. It is told things by `ask` and answers each with one message. */
export class Child {
  #process
  #exited

  constructor(role) {
    this.#process = fork(new URL(`roles/${role}.mjs`, import.meta.url), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      execArgv: [],
    })
    running.add(this.#process)
    this.#exited = once(this.#process, 'exit').then(([code, signal]) => {
      running.delete(this.#process)
      return `The ${role} process ended (${signal ?? code}).`
    })
  }

  /** Sends a question and resolves with the next message. @throws Error if the process ends first, or says that it failed. */
  async ask(question) {
    const answered = once(this.#process, 'message')
    // The exit says more than a message that could not be sent.
    this.#process.send(question, () => undefined)
    const ended = this.#exited.then((how) => {
      throw new Error(how)
    })
    const [answer] = await Promise.race([answered, ended])
    if (answer.failed !== undefined) throw new Error(answer.failed)
    return answer
  }

  /** kill -9. */
  async kill() {
    this.#process.kill('SIGKILL')
    await this.#exited
  }
}

/** The other side: answers every question with what `answers[question.is]` returns. */
export function answer(answers) {
  process.on('message', async (question) => {
    try {
      process.send((await answers[question.is](question)) ?? {})
    } catch (error) {
      process.send({ failed: error.stack })
    }
  })
  process.on('disconnect', () => process.exit(0))
}
