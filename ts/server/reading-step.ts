/** The part of a window that has to be free before a log is read on for it. Small windows are kept full: what is in them is work. */
const PART = 1 / 16

/** Deliveries that a window must have room for before it takes any from a log, at least 1. @param window `null`: there is none. */
export function readingStep(window: number | null): number {
  return window === null ? 1 : Math.max(1, Math.floor(window * PART))
}
