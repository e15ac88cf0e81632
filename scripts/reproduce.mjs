// @ts-check
// `npm run test:reproduce`: what the patches of kernel/patches mend, seen on a kernel without
// them. Each test of test/lab that this kernel would not survive is run there all the same, in
// a guest of its own, and what came of it is printed as a table, in Markdown, on stdout.
//
//   node scripts/reproduce.mjs KERNEL [FILE…]           such tests of all of test/lab, or of these files
//   node scripts/reproduce.mjs KERNEL [FILE…] -t WORDS  those of whose names WORDS are a part
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { createReporter, LabError, STATUS } from '../kernel/lab/report.mjs';
import { runInLab } from '../kernel/lab/run.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const results = `${root}test-results`;
const vitest = `${root}node_modules/vitest/vitest.mjs`;

const LIST_SECONDS = 900;
/** What a test may take: long enough for those that pass on a mended kernel, in a guest of its own. */
const TEST_SECONDS = 150;
/** Of the guest, of what is done before and after the test as well. */
const GUEST_SECONDS = 600;

/** @typedef {{ name: string, file: string }} Test */
/** @typedef {{ status: string, failureMessages: string[] }} Assertion */

const nowhere = () => new Writable({ write: (_chunk, _encoding, done) => done() });

/** @param {boolean} reproduce */
const environment = (reproduce) => ({ DEVMEM_REPRODUCE: reproduce ? '1' : '0' });

/**
 * @param {string} kernel
 * @param {readonly string[]} args vitest's
 * @param {{ reproduce: boolean, timeoutSeconds: number }} how
 */
function runVitest(kernel, args, { reproduce, timeoutSeconds }) {
  return runInLab({
    kernel,
    command: [process.execPath, vitest, ...args],
    env: environment(reproduce),
    timeoutSeconds,
    stdout: nowhere(),
    stderr: nowhere(),
    reporter: createReporter({ quiet: true, write: () => {} }),
  });
}

/**
 * @param {string} kernel
 * @param {readonly string[]} files
 * @param {boolean} reproduce
 * @returns {Promise<Test[]>} what would run there
 */
async function testsOf(kernel, files, reproduce) {
  const list = `${results}/reproduce-list.json`;
  rmSync(list, { force: true });
  const args = ['list', '--project', 'lab', `--json=${list}`, ...files];
  const { status } = await runVitest(kernel, args, { reproduce, timeoutSeconds: LIST_SECONDS });
  if (status !== 0 || !existsSync(list)) {
    throw new LabError(`vitest could not list the tests on ${kernel}: exit status ${status}`);
  }
  const tests = /** @type {Test[]} */ (JSON.parse(readFileSync(list, 'utf8')));
  return tests;
}

/** @param {Test} test */
const keyOf = ({ name, file }) => `${file}\n${name}`;

/** @param {string} text */
const asRegularExpression = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/**
 * @param {string} kernel
 * @param {Test} test
 * @returns {Promise<string>} what came of it, in words
 */
async function outcome(kernel, { name, file }) {
  const report = `${results}/reproduce.json`;
  rmSync(report, { force: true });
  const only = ['-t', `^${asRegularExpression(name.replaceAll(' > ', ' '))}$`];
  const reporters = ['--reporter=json', `--outputFile.json=${report}`];
  const { status, commandStatus, splats } = await runVitest(
    kernel,
    ['run', '--project', 'lab', file, ...only, ...reporters, `--testTimeout=${TEST_SECONDS}000`],
    { reproduce: true, timeoutSeconds: GUEST_SECONDS },
  );
  const words = splats.slice(0, 2).map(({ lines }) => headline(lines));
  if (commandStatus === undefined) {
    words.push(status === STATUS.timeout ? 'the guest hangs' : 'the guest dies');
  } else {
    words.push(...assertionsIn(report).map(verdict));
  }
  return words.join('; ');
}

/**
 * @param {string} report vitest's
 * @returns {Assertion[]} of the tests that ran
 */
function assertionsIn(report) {
  if (!existsSync(report)) return [];
  const { testResults } = /** @type {{ testResults: { assertionResults: Assertion[] }[] }} */ (
    JSON.parse(readFileSync(report, 'utf8'))
  );
  return testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === 'passed' || status === 'failed');
}

/** @param {Assertion} assertion */
function verdict({ status, failureMessages }) {
  if (status === 'passed') return 'passes';
  const [message = ''] = failureMessages;
  // What vitest says of a test that has run out of time is in none of its reports.
  if (message.startsWith('Error: STACK_TRACE_ERROR')) return `fails: not over in ${TEST_SECONDS} s`;
  return `fails: ${message.split('\n')[0]?.slice(0, 160)}`;
}

/**
 * The line that says most of a complaint: "kernel BUG at …" stands below a "cut here".
 * @param {readonly string[]} lines
 */
function headline(lines) {
  const telling = lines.find((line) => /kernel BUG at|WARNING: |BUG: |Oops|panic/.test(line));
  return (telling ?? lines[0] ?? '').replace(/^\[[^\]]*\](?:\[[^\]]*\])?\s*/, '').slice(0, 160);
}

/** @param {string} text one that may hold what a table's cell must not */
const asCell = (text) => text.replaceAll('|', '\\|');

const args = process.argv.slice(2);
const at = args.indexOf('-t');
const [, words = ''] = at < 0 ? [] : args.splice(at, 2);
const [kernel = '', ...named] = args;
if (kernel === '') {
  process.stderr.write('usage: npm run test:reproduce -- KERNEL [FILE…] [-t WORDS]\n');
  process.exit(STATUS.usage);
}
const folder = `${root}test/lab`;
const files =
  named.length > 0
    ? named
    : readdirSync(folder)
        .filter((file) => file.endsWith('.test.ts'))
        .map((file) => `test/lab/${file}`)
        .filter((file) => readFileSync(`${root}${file}`, 'utf8').includes('support/mended.js'));

/** @param {string} text */
const note = (text) => process.stderr.write(`reproduce: ${text}\n`);

async function reproduce() {
  note(`asks which tests ${kernel} would not survive…`);
  const survived = new Set((await testsOf(kernel, files, false)).map(keyOf));
  const tests = (await testsOf(kernel, files, true)).filter(
    (test) => !survived.has(keyOf(test)) && test.name.includes(words),
  );
  note(`${tests.length} of these, each in a guest of its own`);
  if (tests.length === 0) return;
  process.stdout.write(`| test/lab | test | on ${kernel} |\n| --- | --- | --- |\n`);
  for (const test of tests) {
    const what = await outcome(kernel, test);
    const row = [basename(test.file, '.test.ts'), test.name, what].map(asCell);
    process.stdout.write(`| ${row.join(' | ')} |\n`);
  }
}

mkdirSync(results, { recursive: true });
try {
  await reproduce();
} catch (error) {
  if (!(error instanceof LabError)) throw error;
  note(error.message);
  process.exitCode = error.status;
}
