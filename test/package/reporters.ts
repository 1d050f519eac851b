/** The reporters of a run: for people, and for `.ci/run`, which names a file for the counts, also as JSON. */
export function reporters(): (string | [string, Record<string, unknown>])[] {
  const report = process.env.LIMINAL_TEST_REPORT
  return report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]]
}
