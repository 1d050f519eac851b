import { fill } from './catching-up.mjs'
import { inDirectory } from './directories.mjs'
import { Child } from './process.mjs'
import { medians } from './statistics.mjs'

/**
 * From opening a directory to being ready, after `kill -9`: an empty one, one with messages, and one with messages and conversations that each have a request answered and one not. Each is a new process;
 * a server's time from the start of its process stands beside it.
 */
export async function measureRecovery({ messages, conversations, runs, parent, say }) {
  const sections = {
    empty: { messages: 0, conversations: 0 },
    messages: { messages, conversations: 0 },
    conversations: { messages, conversations },
  }
  const found = {}
  for (const [name, held] of Object.entries(sections)) {
    const measured = []
    // Recovery answers what was left unanswered: every run needs a crash of its own.
    for (let run = 0; run < runs; run++)
      measured.push(await inDirectory(parent, (top) => crashAndRecover(`${top}/data`, held)))
    found[name] = { ...held, ...medians(measured) }
    say(`recovery, ${name}: ready after ${found[name].readyMs} ms`)
  }
  return found
}

async function crashAndRecover(directory, { messages, conversations }) {
  await fill({ system: 'liminal', directory, messages })
  if (conversations > 0) await crash(directory, conversations)
  const server = new Child('server')
  let listening
  try {
    listening = await server.ask({ is: 'serve', directory })
  } finally {
    await server.kill()
  }
  const recovering = new Child('recover')
  try {
    const { position, ...times } = await recovering.ask({ is: 'recover', directory, conversations })
    if (position !== messages)
      throw new Error(`The first message after the crash is at ${position}, not at ${messages}.`)
    return { ...times, serverListeningMs: listening.sinceStartMs }
  } finally {
    await recovering.kill()
  }
}

async function crash(directory, conversations) {
  const victim = new Child('recover')
  try {
    await victim.ask({ is: 'converse', directory, conversations })
  } finally {
    await victim.kill()
  }
}
