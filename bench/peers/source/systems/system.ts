import type { Child } from '../process/child.ts'
import type { Endpoint } from '../process/messages.ts'
import type { WorkloadName } from '../workloads.ts'

/** What is compared: a server, the client for it, and how they are used. */
export interface System {
  readonly name: string
  readonly title: string
  /** A broker is a program that one installs and runs; a library is what one builds a server from. */
  readonly kind: 'liminal' | 'floor' | 'broker' | 'library'
  /** Module in `clients/`. */
  readonly client: string
  /** What its processes find in their environment. */
  readonly environment: Readonly<Record<string, string>>
  readonly workloads: readonly WorkloadName[]
  /** Publishes with acknowledgements and reads by an iterator, where others use their fastest forms. */
  readonly acknowledged: boolean
  /** How it is set up and used, for the report. */
  readonly setting: string
  /** What an acknowledgement of W5 means here; null where it is not measured. */
  readonly durability: string | null
  /** Why a workload is left out, where a reader would ask. */
  readonly omissions: Readonly<Partial<Record<WorkloadName, string>>>
  /** Which version is there, or why there is none. */
  find(): Found
  start(serving: Serving): Promise<RunningServer>
}

/** What a server is started for. */
export interface Serving {
  readonly workload: WorkloadName
  /** A folder of its own. */
  readonly directory: string
}

export type Found = { readonly version: string } | { readonly missing: string }

export interface RunningServer {
  readonly pid: number
  readonly endpoint: Endpoint
  /** What runs there, in its own words. */
  readonly about: string
  /** The process to ask about its heap; null where the server is not a Node process. */
  readonly node: Child | null
  end(): Promise<void>
}
