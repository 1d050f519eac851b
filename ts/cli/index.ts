/** The `liminal` command, and the benchmarks behind it as functions. */
export * from './bench/index.ts'
export { ExitCode } from './exit-codes.ts'
export { type RunOptions, run } from './program.ts'
