// @ts-check
// `npm run test:kernels`: test/lab on one kernel of the guest after the other, and a table
// of the results side by side, in Markdown, on stdout.
//
//   node scripts/test-kernels.mjs [KERNEL…]           the table's kernels, or these alone
//   node scripts/test-kernels.mjs --print             the table of what has run already
//   node scripts/test-kernels.mjs [KERNEL…] -- FILE…  these files of test/lab alone; of the
//                                                     others, the table has what came before
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const results = `${root}test-results`;
const KERNELS = Object.freeze([
  'debian-6.12',
  'debian-7',
  'patched-6.1',
  'patched-6.12',
  'patched-7',
]);

/** @typedef {{ passed: number, failed: number, skipped: number }} Count */

/**
 * Where what came of each file is kept.
 * @param {string} kernel
 */
const countsFile = (kernel) => `${results}/kernel-${kernel}.json`;

/**
 * @param {string} kernel
 * @param {readonly string[]} files
 * @returns {boolean} whether all passed
 */
function run(kernel, files) {
  const report = `${results}/vitest-${kernel}.json`;
  rmSync(report, { force: true });
  const script = [`${root}scripts/test-lab.mjs`, '--kernel', kernel, ...files];
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const { status } = spawnSync(process.execPath, [...script, ...reporters], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  // A guest that died tells nothing: what came of these files before is no answer.
  const again = new Set(files.map((file) => basename(file, '.test.ts')));
  const before = files.length === 0 ? {} : countsOf(kernel);
  const kept = Object.entries(before).filter(([file]) => !again.has(file));
  const counts = {
    ...Object.fromEntries(kept),
    ...(existsSync(report) ? countsIn(report) : {}),
  };
  writeFileSync(countsFile(kernel), JSON.stringify(counts));
  return status === 0;
}

/**
 * @param {string} report vitest's
 * @returns {Record<string, Count>} by file
 */
function countsIn(report) {
  const { testResults } =
    /** @type {{ testResults: { name: string, assertionResults: { status: string }[] }[] }} */ (
      JSON.parse(readFileSync(report, 'utf8'))
    );
  /** @type {Record<string, Count>} */
  const counts = {};
  for (const { name, assertionResults } of testResults) {
    /** @param {string} which */
    const count = (which) => assertionResults.filter(({ status }) => status === which).length;
    const [passed, failed] = [count('passed'), count('failed')];
    const skipped = assertionResults.length - passed - failed;
    counts[basename(name, '.test.ts')] = { passed, failed, skipped };
  }
  return counts;
}

/**
 * @param {string} kernel
 * @returns {Record<string, Count>} what came of each file; nothing where none has run
 */
function countsOf(kernel) {
  const file = countsFile(kernel);
  if (!existsSync(file)) return {};
  const kept = /** @type {Record<string, Count>} */ (JSON.parse(readFileSync(file, 'utf8')));
  return kept;
}

/** @param {Count | undefined} count */
function cell(count) {
  if (count === undefined) return 'not run';
  const { passed, failed, skipped } = count;
  const parts = [`${passed} passed`];
  if (failed > 0) parts.push(`**${failed} failed**`);
  if (skipped > 0) parts.push(`${skipped} skipped`);
  return parts.join(', ');
}

/** @param {readonly string[]} kernels */
function table(kernels) {
  const counts = kernels.map(countsOf);
  const files = [...new Set(counts.flatMap((each) => Object.keys(each)))].sort();
  const rows = [
    ['test/lab', ...kernels],
    ['---', ...kernels.map(() => '---')],
    ...files.map((file) => [file, ...counts.map((each) => cell(each[file]))]),
  ];
  return rows.map((row) => `| ${row.join(' | ')} |\n`).join('');
}

const args = process.argv.slice(2);
const print = args.includes('--print');
const dashes = args.indexOf('--');
const files = dashes < 0 ? [] : args.splice(dashes).slice(1);
const named = args.filter((each) => each !== '--print');
const kernels = named.length === 0 ? KERNELS : named;

mkdirSync(results, { recursive: true });
const failed = print ? [] : kernels.filter((kernel) => !run(kernel, files));
process.stdout.write(table(kernels));
if (failed.length > 0) process.stderr.write(`test:kernels: FAILED on ${failed.join(', ')}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
