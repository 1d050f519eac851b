import { connect, type RemoteBus } from '../client/index.ts'
import { LiminalError } from '../errors.ts'
import type { CommandContext } from './context.ts'
import type { ConnectionOptions } from './options.ts'
import { visible } from './visible.ts'

/**
 * Connects, runs `use`, and closes the connection whatever happened. A lost connection is not made again: it aborts the signal of the context that `use` gets, which
 * ends the command even while it waits for something else.
 *
 * @throws LiminalError `CONNECTION_FAILED`, `AuthenticationFailure`, `VersionMismatch`, `INVALID_ARGUMENT` for a malformed URL, and all that `use` throws.
 */
export async function withBus<T>(
  options: ConnectionOptions,
  context: CommandContext,
  use: (bus: RemoteBus, context: CommandContext) => Promise<T>,
): Promise<T> {
  const bus = await connect(options.url, { ...clientOptions(options, context), reconnect: false })
  const lost = new AbortController()
  const watch = tellWhenLost(bus, lost)
  try {
    return await use(bus, { ...context, signal: AbortSignal.any([context.signal, lost.signal]) })
  } catch (error) {
    // That the wait was aborted is of no interest; why the connection was lost is.
    const { reason } = lost.signal
    throw error instanceof LiminalError && error.code === 'ABORTED' && reason instanceof LiminalError ? reason : error
  } finally {
    await bus.close()
    await watch
  }
}

/** Settles once the bus is closed. */
async function tellWhenLost(bus: RemoteBus, lost: AbortController): Promise<void> {
  for await (const status of bus.status()) {
    if (status.type === 'closed' && status.error !== null) lost.abort(status.error)
  }
}

/**
 * Like {@link withBus} for commands that run until they are told to stop: a lost connection is made again, and stderr tells of it. Ends with the
 * error where the server takes back what it granted before.
 */
export async function withLastingBus(
  options: ConnectionOptions,
  context: CommandContext,
  use: (bus: RemoteBus) => Promise<void>,
): Promise<void> {
  const bus = await connect(options.url, clientOptions(options, context))
  try {
    await Promise.race([use(bus), tellOfChanges(bus, context)])
  } finally {
    await bus.close()
  }
}

function clientOptions({ authToken }: ConnectionOptions, { signal }: CommandContext) {
  return { signal, ...(authToken === undefined ? {} : { authToken }) }
}

/** Settles once the bus is closed. */
async function tellOfChanges(bus: RemoteBus, { output }: CommandContext): Promise<void> {
  let lost = false
  for await (const status of bus.status()) {
    switch (status.type) {
      case 'disconnected':
        lost = true
        output.note(`disconnected: ${visible(status.error.message)}`)
        break
      case 'connected':
        if (lost) output.note('connected again')
        break
      case 'resubscribed':
        output.note(`subscribed again to ${status.channels.join(', ')}; what was published in between is missing`)
        break
      case 'resumed':
        output.note(`going on with ${status.channels.join(', ')}; nothing is missing`)
        break
      case 'responder-refused':
        throw status.error
      case 'closed':
        if (status.error !== null) throw status.error
        return
    }
  }
  throw new LiminalError('CLOSED', 'the connection was closed')
}
