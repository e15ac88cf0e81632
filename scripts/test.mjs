// @ts-check
// `npm test`: every suite, in every setting it has to hold in, and one line of totals.
//
// Without QEMU (and no way to install it) the lab's suites are skipped, in words;
// with CI=true they must run.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const results = `${root}build/test-results`;
const inCI = process.env.CI === 'true';

/** What kernels differ in most: binding, receiving, what is held, what changes underneath. */
const KERNEL_FACING = Object.freeze([
  ...['bind-errors', 'binding', 'bindings', 'faults', 'kernel-answers'],
  ...['leases', 'memory', 'receive', 'urgent'],
]);

/**
 * The guest's kernels, and the files of test/lab to run there: all, where none are named.
 * `npm run test:lab -- --kernel NAME` does that on any, those built from source included.
 * @type {{ kernel: string, files?: readonly string[] }[]}
 */
const LAB = [{ kernel: 'debian-6.12' }, { kernel: 'debian-7', files: KERNEL_FACING }];

/** Guests at a time: one uses little more than one core. */
const GUESTS = 2;

/** The lab's exit status where something that it needs cannot be had. */
const LAB_UNAVAILABLE = 69;

const totals = { passed: 0, failed: 0, skipped: 0 };

/**
 * Runs node and adds up what vitest reports to have run.
 *
 * @param {string} name
 * @param {string[]} command a script and its arguments, then vitest's
 * @param {boolean} [aside] shows what it prints at the end, since others run meanwhile
 * @returns {Promise<number>} exit status
 */
async function suite(name, command, aside = false) {
  const report = `${results}/${name.replaceAll(/[^\w.-]+/g, '-')}.json`;
  rmSync(report, { force: true });
  const title = `\n── ${name}\n`;
  process.stdout.write(aside ? `${name}: runs\n` : title);
  const child = spawn(
    process.execPath,
    [...command, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
    { cwd: root, stdio: ['ignore', aside ? 'pipe' : 'inherit', aside ? 'pipe' : 'inherit'] },
  );
  /** @type {Buffer[]} */
  const printed = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (/** @type {Buffer} */ piece) => printed.push(piece));
  }
  const [status] = /** @type {[number | null]} */ (await once(child, 'close'));
  if (aside) process.stdout.write(Buffer.concat([Buffer.from(title), ...printed]));
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

/** @param {typeof LAB[number]} run */
async function labSuite({ kernel, files = [] }) {
  const name = `lab on ${kernel}`;
  const paths = files.map((file) => `test/lab/${file}.test.ts`);
  const missing = paths.find((file) => !existsSync(root + file));
  if (missing !== undefined) throw new Error(`there is no ${missing}`);
  const command = [`${root}scripts/test-lab.mjs`, '--kernel', kernel, ...paths];
  if ((await suite(name, command, true)) !== LAB_UNAVAILABLE) return;
  process.stdout.write(`${name}: ${inCI ? 'FAILED' : 'skipped'}, for the reason above\n`);
  if (inCI) totals.failed++;
  else totals.skipped++;
}

async function labSuites() {
  const queue = [...LAB];
  const guests = Array.from({ length: GUESTS }, async () => {
    for (let run = queue.shift(); run !== undefined; run = queue.shift()) await labSuite(run);
  });
  await Promise.all(guests);
}

mkdirSync(results, { recursive: true });
const vitest = [`${root}node_modules/vitest/vitest.mjs`, 'run'];
await suite('unit, host', [...vitest, '--project', 'unit', '--project', 'host']);
// A worker's teardown shows other faults than a process's end.
await suite('host in threads', [...vitest, '--project', 'host', '--pool', 'threads']);
await suite('package', [...vitest, '--project', 'package']);
await labSuites();

const { passed, failed, skipped } = totals;
process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`);
process.exitCode = failed === 0 ? 0 : 1;
