// @ts-check
// `npm test`: every suite, in every setting it has to hold in, and one line of totals.
//
// Without QEMU (and no way to install it) the lab's suites are skipped, in words;
// with CI=true they must run.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const results = `${root}test-results`;
const inCI = process.env.CI === 'true';

/** What kernels differ in most: binding, receiving, what is held, what changes underneath. */
const KERNEL_FACING = Object.freeze([
  ...['bind-errors', 'binding', 'bindings', 'faults', 'kernel-answers'],
  ...['leases', 'receive', 'transmit', 'urgent'],
]);

/** Whole streams, and what becomes of them with odd NICs, bystanders and hostile peers. */
const OF_STREAMS = Object.freeze([
  ...['bystanders', 'careless-nic', 'hostile', 'many-queues', 'odd-nic', 'queue-failures'],
  ...['reader', 'receive'],
]);

/** What is tested by io_uring, too: what is particular to it, and what is any transport's. */
const BY_ZCRX = Object.freeze([
  ...['directions', 'faults', 'leases', 'low-water-mark', 'removal', 'zcrx', 'zcrx-hostile'],
]);

/** What starts many processes, which takes most of the time. */
const OF_PROCESSES = Object.freeze([
  ...['broker', 'doctor', 'endings', 'interop', 'nic', 'nic-failures', 'readme', 'recv'],
]);

/** Of test/host, what runs programs alone: in which thread a test starts one makes no difference. */
const OF_PROGRAMS = Object.freeze([
  ...['bench', 'check-gpu', 'cuda', 'cuda-gather', 'cuda-ptx', 'demo', 'docs-commands'],
  ...['docs-mentions', 'docs-programs', 'doctor', 'endings', 'error-queue', 'examples'],
  ...['hand-off-examples', 'importing', 'interface-names', 'kernel', 'native-misuse'],
  ...['reader-cuda', 'recv-into', 'tampered', 'token-queue', 'top', 'zcrx-ring'],
]);

/**
 * The guest's kernels, and what of test/lab runs there: `files` alone, or all but `others`.
 * `npm run test:lab -- --kernel NAME` runs all on any, those built from source included.
 * @type {{ kernel: string, part?: string, transport?: string, files?: readonly string[], others?: readonly string[] }[]}
 */
const LAB = [
  { kernel: 'debian-6.12', part: 'processes', files: OF_PROCESSES },
  { kernel: 'debian-6.12', part: 'streams', files: OF_STREAMS },
  { kernel: 'debian-6.12', others: [...OF_PROCESSES, ...OF_STREAMS] },
  { kernel: 'debian-7', files: KERNEL_FACING },
  { kernel: 'debian-7', part: 'zcrx', transport: 'zcrx', files: BY_ZCRX },
];

/** What runs at a time beside each other: a guest uses little more than one core. */
const AT_A_TIME = 2;

/** The lab's exit status where something that it needs cannot be had. */
const LAB_UNAVAILABLE = 69;

/** For what a suite printed last, once it has ended. */
const PIPES_MS = 5000;

/** Of a failed test's message, what is shown again at the end. */
const MESSAGE_LINES = 12;

const totals = { passed: 0, failed: 0, skipped: 0 };

/** What failed, to be told once more at the end: others' output is long. @type {string[]} */
const failures = [];

/**
 * Runs node and adds up what vitest reports to have run.
 *
 * @param {string} name
 * @param {string[]} command a script and its arguments, then vitest's
 * @param {{ aside?: boolean, env?: Record<string, string> }} [options] `aside`: shows what
 *   it prints at the end, since others run meanwhile
 * @returns {Promise<number>} exit status
 */
async function suite(name, command, { aside = false, env = {} } = {}) {
  const report = `${results}/${name.replaceAll(/[^\w.-]+/g, '-')}.json`;
  rmSync(report, { force: true });
  const started = performance.now();
  process.stdout.write(aside ? `${name}: runs\n` : `\n── ${name}\n`);
  const child = spawn(
    process.execPath,
    [...command, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
    {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', aside ? 'pipe' : 'inherit', aside ? 'pipe' : 'inherit'],
    },
  );
  /** @type {Buffer[]} */
  const printed = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (/** @type {Buffer} */ piece) => printed.push(piece));
  }
  const closed = once(child, 'close');
  const [status] = /** @type {[number | null]} */ (await once(child, 'exit'));
  // What a failed test left running may hold the other end for as long as it likes.
  await Promise.race([closed, setTimeout(PIPES_MS, undefined, { ref: false })]);
  child.stdout?.destroy();
  child.stderr?.destroy();
  const took = `${((performance.now() - started) / 1000).toFixed(0)} s`;
  const title = Buffer.from(`\n── ${name}, ${took}\n`);
  process.stdout.write(aside ? Buffer.concat([title, ...printed]) : `${name}: ${took}\n`);
  if (status === LAB_UNAVAILABLE) return status;
  const before = totals.failed;
  if (existsSync(report)) addReport(name, report);
  if (status !== 0 && totals.failed === before) {
    totals.failed++;
    failures.push(`${name}: exit status ${status}, by no test's fault (see its output above)`);
  }
  return status ?? 1;
}

/**
 * @param {string} name the suite's
 * @param {string} report
 */
function addReport(name, report) {
  const { numPassedTests, numFailedTests, numPendingTests, testResults } =
    /** @type {import('vitest/node').JsonTestResults} */ (JSON.parse(readFileSync(report, 'utf8')));
  totals.passed += numPassedTests;
  totals.failed += numFailedTests;
  totals.skipped += numPendingTests;
  for (const file of testResults.filter(({ status }) => status === 'failed')) {
    const where = `${name}: ${path.relative(root, file.name)}`;
    const failed = file.assertionResults.filter(({ status }) => status === 'failed');
    for (const { fullName, failureMessages } of failed) {
      failures.push(`${where}: ${fullName}\n${shortened(failureMessages?.join('\n') ?? '')}`);
    }
    if (failed.length === 0) failures.push(`${where}\n${shortened(file.message)}`);
  }
}

/** @param {string} message with its stack, of which the project's own frames stay */
function shortened(message) {
  const lines = message.split('\n').filter((line) => !line.includes('/node_modules/'));
  const shown = lines.slice(0, MESSAGE_LINES).map((line) => `    ${line}`);
  return [...shown, ...(lines.length > MESSAGE_LINES ? ['    …'] : [])].join('\n');
}

/**
 * @param {'host' | 'lab'} project
 * @param {readonly string[]} names of files in it
 */
function testFiles(project, names) {
  const files = names.map((name) => `test/${project}/${name}.test.ts`);
  const missing = files.find((file) => !existsSync(root + file));
  if (missing !== undefined) throw new Error(`there is no ${missing}`);
  return files;
}

/** @type {typeof testFiles} */
const but = (project, names) => testFiles(project, names).flatMap((file) => ['--exclude', file]);

/** @param {typeof LAB[number]} run */
async function labSuite({ kernel, part, transport, files = [], others = [] }) {
  const name = part === undefined ? `lab on ${kernel}` : `lab on ${kernel}, ${part}`;
  const which = [...testFiles('lab', files), ...but('lab', others)];
  const command = [`${root}scripts/test-lab.mjs`, '--kernel', kernel, ...which];
  const env = transport === undefined ? {} : { DEVMEM_TRANSPORT: transport };
  if ((await suite(name, command, { aside: true, env })) !== LAB_UNAVAILABLE) return;
  process.stdout.write(`${name}: ${inCI ? 'FAILED' : 'skipped'}, for the reason above\n`);
  if (!inCI) {
    totals.skipped++;
    return;
  }
  totals.failed++;
  failures.push(`${name}: the lab is not to be had here`);
}

/** @param {(() => Promise<unknown>)[]} suites */
async function besideEachOther(suites) {
  const queue = [...suites];
  const runners = Array.from({ length: AT_A_TIME }, async () => {
    for (let run = queue.shift(); run !== undefined; run = queue.shift()) await run();
  });
  await Promise.all(runners);
}

mkdirSync(results, { recursive: true });
const vitest = [`${root}node_modules/vitest/vitest.mjs`, 'run'];
const inThreads = ['--project', 'host', '--pool', 'threads', ...but('host', OF_PROGRAMS)];
const alone = ['unit', 'types', 'host'].flatMap((name) => ['--project', name]);
await suite('unit, types, host', [...vitest, ...alone]);
await besideEachOther([
  ...LAB.map((run) => () => labSuite(run)),
  () => suite('package', [...vitest, '--project', 'package'], { aside: true }),
  // A worker's teardown shows other faults than a process's end. One at a time: they
  // count descriptors, which are their process's.
  () =>
    suite('host in threads', [...vitest, ...inThreads], {
      aside: true,
      // What is drawn at random was drawn before.
      env: {
        VITEST_MAX_WORKERS: '1',
        DEVMEM_INTERLEAVINGS: '30',
        DEVMEM_READER_PROGRAMS: '200',
        DEVMEM_RUNS: '50',
      },
    }),
]);

const { passed, failed, skipped } = totals;
if (failures.length > 0) process.stdout.write(`\n── failed\n${failures.join('\n')}\n`);
process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`);
process.exitCode = failed === 0 ? 0 : 1;
