/** What a server of ours is started with. */
export interface Serving {
  /** What it has to do, see `workloads.ts`. */
  readonly workload: string
  /** Where it may keep files. */
  readonly directory: string
  readonly fail: (error: unknown) => void
}

/** Where it listens on 127.0.0.1. */
export interface Listening {
  readonly port: number
  readonly receivePort: number
  readonly about: string
}

/** What every module of a server in this folder exports as `start`. Resolves once it accepts connections. */
export type StartServer = (serving: Serving) => Promise<Listening>
