// Adds up what test runners counted: node scripts/count-tests.mjs <report> ...
// A report is Vitest's JSON (.json) or the output of `cargo test`. The last line printed is the sum; a report that is missing or holds no test
// is named, and makes the exit code 1, as a failed test does.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

const sum = { passed: 0, failed: 0 }
for (const file of process.argv.slice(2)) {
  const counts = count(file)
  if (counts === null || counts.passed + counts.failed === 0) {
    console.log(`${basename(file)}: no test was counted`)
    process.exitCode = 1
    continue
  }
  console.log(`${basename(file)}: ${counts.passed} passed, ${counts.failed} failed`)
  sum.passed += counts.passed
  sum.failed += counts.failed
}
if (sum.failed > 0) process.exitCode = 1
console.log(`${sum.passed} passed, ${sum.failed} failed`)

function count(file) {
  let text
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return null
    throw error
  }
  return file.endsWith('.json') ? countVitest(JSON.parse(text)) : countCargo(text)
}

function countVitest(report) {
  // A file that could not be loaded has failed, but holds no test that did.
  const unloaded = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  )
  return { passed: report.numPassedTests, failed: report.numFailedTests + unloaded.length }
}

function countCargo(text) {
  const counts = { passed: 0, failed: 0 }
  for (const [, passed, failed] of text.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed;/gm)) {
    counts.passed += Number(passed)
    counts.failed += Number(failed)
  }
  return counts
}
