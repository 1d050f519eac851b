/** Runs code of the user: what it throws, or what the promise that it returns rejects with, goes to `failed` and nowhere else. */
export function contain(work: () => unknown, failed: (error: unknown) => void): void {
  let later: Promise<unknown> | null
  try {
    const result = work()
    later = typeof result === 'object' && result !== null ? Promise.resolve(result) : null
  } catch (error) {
    failed(error)
    return
  }
  later?.then(undefined, failed)
}
