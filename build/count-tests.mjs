// Adds up vitest's JSON reports and prints the line that a CI reads: N passed, N failed. A report that is missing
// counts as a failure, since its tests did not run.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder, ...names] = process.argv.slice(2);
let passed = 0;
let failed = 0;
for (const name of names) {
  const path = join(folder, `${name}.json`);
  if (!existsSync(path)) {
    console.log(`${name}: no report`);
    failed += 1;
    continue;
  }
  const report = JSON.parse(readFileSync(path, 'utf8'));
  const suites = report.testResults.filter(
    (one) => one.status === 'failed' && one.assertionResults.length === 0,
  );
  const skipped = report.numPendingTests + report.numTodoTests;
  console.log(
    `${name}: ${report.numPassedTests} passed, ${report.numFailedTests + suites.length} failed, ${skipped} skipped`,
  );
  passed += report.numPassedTests;
  failed += report.numFailedTests + suites.length;
  if (report.numPassedTests === 0) failed += 1;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
