import { fork } from 'node:child_process'
import { once } from 'node:events'

/** A process of this benchmark. It says `{ is: 'ready' }` once it is, and is ended by its pid. */
export async function startChild(name, ...args) {
  const child = fork(new URL(name, import.meta.url), args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const ready = await next(child, 'ready').message
  return { child, ready }
}

/** The next message of that kind. `message` rejects if the process ends first; `cancel` stops waiting. */
export function next(child, is) {
  let cancel
  const message = new Promise((resolve, reject) => {
    const heard = (heardMessage) => {
      if (heardMessage.is !== is) return
      cancel()
      resolve(heardMessage)
    }
    const ended = (code, signal) => {
      cancel()
      reject(new Error(`A process of the benchmark ended (${code ?? signal}) while it was waited for.`))
    }
    cancel = () => {
      child.off('message', heard)
      child.off('exit', ended)
    }
    child.on('message', heard)
    child.once('exit', ended)
  })
  return { message, cancel }
}

/** Ends a process and waits until it has ended. */
export async function stopChild(child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}
