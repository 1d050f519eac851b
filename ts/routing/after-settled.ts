/**
 * Calls back once everything that was settled before has been heard: all reactions of promises that have run or are due, however long their chains, but no new event.
 * It takes microseconds and no turn of the event loop.
 */
export function afterSettled(callback: () => void): void {
  // From within a microtask, a tick runs when the queue of microtasks is empty; from outside it would run before them.
  queueMicrotask(() => process.nextTick(callback))
}
