import {
  type ChildSpec,
  type PassiveProcess,
  ProcessSystem,
  Supervisor,
  type SupervisorOptions,
} from '../../ts/process/index.ts'

/** Children that write down what happens to them, and a system for them to live in. */
export interface Nursery {
  readonly processes: ProcessSystem
  /** The processes of each child, the youngest last. */
  readonly started: Map<string, PassiveProcess[]>
  /** What children did, in order. */
  readonly log: string[]
  /** A child that ends when it is asked to. */
  child(id: string, spec?: Partial<ChildSpec>): ChildSpec
  /** A child that traps exits and only ends when the test says so. */
  stubborn(id: string, spec?: Partial<ChildSpec>): ChildSpec
  /** The youngest process of a child. */
  current(id: string): PassiveProcess
  supervise(options: SupervisorOptions): Supervisor
}

export function nursery(): Nursery {
  const processes = new ProcessSystem()
  const started = new Map<string, PassiveProcess[]>()
  const log: string[] = []
  const keep = (id: string, process: PassiveProcess): PassiveProcess => {
    started.set(id, [...(started.get(id) ?? []), process])
    return process
  }
  return {
    processes,
    started,
    log,
    child: (id, spec = {}) => ({
      id,
      start: (parent) => {
        log.push(`start ${id}`)
        return keep(
          id,
          processes.spawnPassive({ name: id, parent, onExit: (exit) => log.push(`${id} ${exit.reason.is}`) }),
        )
      },
      ...spec,
    }),
    stubborn: (id, spec = {}) => ({
      id,
      start: (parent) =>
        keep(
          id,
          processes.spawnPassive({
            name: id,
            parent,
            onTrapped: (trapped) => log.push(`${id} is told: ${trapped.is}`),
            onExit: (exit) => log.push(`${id} ${exit.reason.is}`),
          }),
        ),
      ...spec,
    }),
    current: (id) => {
      const all = started.get(id) ?? []
      return all[all.length - 1]
    },
    supervise: (options) => new Supervisor(processes, options),
  }
}
