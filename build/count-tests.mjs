// Adds up vitest's JSON reports, names what failed, and prints the line that a CI reads: N passed, N failed. A report
// that is missing counts as a failure, since its tests did not run.
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

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
  for (const suite of report.testResults) {
    const failures = suite.assertionResults.filter((one) => one.status === 'failed');
    // A file that broke before its tests ran has a message of its own.
    const told = failures.length > 0 || suite.status !== 'failed' ? failures : [suite];
    for (const one of told) {
      const path = relative(process.cwd(), suite.name);
      const message = one.failureMessages?.[0] ?? one.message ?? '';
      console.log(`FAILED ${path}${one.fullName ? ` > ${one.fullName}` : ''}`);
      console.log(
        message
          .split('\n')
          .filter((line) => !line.includes('/node_modules/'))
          .slice(0, 12)
          .map((line) => `    ${line}`)
          .join('\n'),
      );
    }
  }
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
