/** Runs code of the user: what it throws, or what the promise that it returns rejects with, goes to `failed` and nowhere else. */
export function contain(work: () => unknown, failed: (error: unknown) => void): void {
  let result: unknown
  try {
    result = work()
  } catch (error) {
    failed(error)
    return
  }
  if (typeof result === 'object' && result !== null) Promise.resolve(result).then(undefined, failed)
}
