import { connect, type RemoteBus } from '../../client/index.ts'
import { Child, type Message } from '../child.ts'

/** All processes and connections of the story. */
export class Cast {
  readonly #children: { kill(): Promise<unknown> }[] = []
  readonly #servers: { kill(): Promise<unknown> }[] = []
  readonly #buses: RemoteBus[] = []

  start<Down extends Message, Up extends Message>(name: string, module: string): Child<Down, Up> {
    const child = Child.start<Down, Up>(name, new URL(module, import.meta.url))
    this.#children.push(child)
    return child
  }

  /** Starts one that has files, which are removed only when it is gone. */
  startServer<Down extends Message, Up extends Message>(name: string, module: string): Child<Down, Up> {
    const server = Child.start<Down, Up>(name, new URL(module, import.meta.url))
    this.#servers.push(server)
    return server
  }

  async connect(url: string): Promise<RemoteBus> {
    const bus = await connect(url)
    this.#buses.push(bus)
    return bus
  }

  /** Ends the servers with files. */
  async dismissServers(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.kill()))
  }

  /** Ends everything. */
  async dismiss(): Promise<void> {
    await Promise.all(this.#buses.map((bus) => bus.close()))
    await Promise.all(this.#children.map((child) => child.kill()))
    await this.dismissServers()
  }
}
