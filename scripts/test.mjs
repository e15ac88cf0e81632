// @ts-check
// `npm test`: every suite, in every setting it has to hold in, and one line of totals.
//
// Without QEMU (and no way to install it) the lab's suites are skipped, in words;
// with CI=true they must run.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const results = `${root}build/test-results`;
const inCI = process.env.CI === 'true';

/**
 * What runs on the kernel with all checks (KASAN, lockdep, …) in CI: what has kernel and
 * driver do most. The rest, which starts processes for the most part, takes longer there
 * than it finds: `npm run test:lab -- --kernel debug-6.12` runs everything.
 */
const DEBUG_FILES = Object.freeze(['receive', 'leases', 'faults', 'bindings', 'urgent']);

/** The lab's exit status where something that it needs cannot be had. */
const LAB_UNAVAILABLE = 69;

const totals = { passed: 0, failed: 0, skipped: 0 };

/**
 * Runs node and adds up what vitest reports to have run.
 *
 * @param {string} name
 * @param {string[]} command a script and its arguments, then vitest's
 * @returns {number} exit status
 */
function suite(name, ...command) {
  const report = `${results}/${name.replaceAll(/[^\w.-]+/g, '-')}.json`;
  rmSync(report, { force: true });
  process.stdout.write(`\n── ${name}\n`);
  const { status } = spawnSync(
    process.execPath,
    [...command, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
    { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  if (status === LAB_UNAVAILABLE) return status;
  const before = totals.failed;
  if (existsSync(report)) addReport(report);
  // Such as a file that could not be loaded, or a complaint of the guest's kernel.
  if (status !== 0 && totals.failed === before) totals.failed++;
  return status ?? 1;
}

/** @param {string} report */
function addReport(report) {
  const { numPassedTests, numFailedTests, numPendingTests } =
    /** @type {{ numPassedTests: number, numFailedTests: number, numPendingTests: number }} */ (
      JSON.parse(readFileSync(report, 'utf8'))
    );
  totals.passed += numPassedTests;
  totals.failed += numFailedTests;
  totals.skipped += numPendingTests;
}

/**
 * @param {string} kernel
 * @param {readonly string[]} [files] of test/lab; all, where none are named
 */
function labSuite(kernel, files = []) {
  const name = `lab on ${kernel}`;
  const paths = files.map((file) => `test/lab/${file}.test.ts`);
  const missing = paths.find((file) => !existsSync(root + file));
  if (missing !== undefined) throw new Error(`there is no ${missing}`);
  const status = suite(name, `${root}scripts/test-lab.mjs`, '--kernel', kernel, ...paths);
  if (status !== LAB_UNAVAILABLE) return;
  process.stdout.write(`${name}: ${inCI ? 'FAILED' : 'skipped'}, for the reason above\n`);
  if (inCI) totals.failed++;
  else totals.skipped++;
}

mkdirSync(results, { recursive: true });
const vitest = [`${root}node_modules/vitest/vitest.mjs`, 'run'];
suite('unit, host', ...vitest, '--project', 'unit', '--project', 'host');
// A worker's teardown shows other faults than a process's end.
suite('host in threads', ...vitest, '--project', 'host', '--pool', 'threads');
suite('package', ...vitest, '--project', 'package');
for (const kernel of ['debian-6.12', 'debian-7']) labSuite(kernel);
// The first time it is built, which takes minutes.
if (inCI) labSuite('debug-6.12', DEBUG_FILES);

const { passed, failed, skipped } = totals;
process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`);
process.exitCode = failed === 0 ? 0 : 1;
