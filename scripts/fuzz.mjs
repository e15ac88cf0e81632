// @ts-check
// `npm run fuzz`: feeds hostile input to what reads the kernel's records and to what shares
// out memory, under the address and undefined-behaviour sanitizers. test/fuzz/README.md
// tells about the targets.
//
//   node scripts/fuzz.mjs [--seconds N | --runs N] [--target NAME]
//
// --seconds N   for all targets together (default 60)
// --runs N      inputs for each target, however long they take
// --target NAME one target alone
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import {
  compile,
  compiler,
  fail,
  lineCoverage,
  run,
  SANITIZERS,
  say,
} from '../test/fuzz/clang.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const native = path.join(root, 'src', 'native');
const fuzz = path.join(root, 'test', 'fuzz');

/**
 * @typedef {object} Target
 * @property {string[]} sources under test, from src/native/receive on
 * @property {string[]} [beside] sources that those need, which have targets of their own
 * @property {string[]} calls system calls that the harness stands in for
 * @property {number} longest bytes of the longest input that still reaches something new
 * @property {number} [plain] inputs of random bytes, always the same ones, to begin with
 */

/** @type {Record<string, Target>} */
const TARGETS = {
  records: { sources: ['records'], beside: ['pool'], calls: [], longest: 2048 },
  token_ranges: { sources: ['token_ranges'], calls: ['setsockopt'], longest: 160 },
  transport: {
    sources: ['cmsg_transport', 'records', 'scratch', 'token_ranges'],
    beside: ['pool'],
    calls: ['recvmsg', 'setsockopt'],
    longest: 768,
  },
  pool: { sources: ['pool'], calls: [], longest: 256, plain: 4000 },
  copy_arena: { sources: ['copy_arena'], calls: [], longest: 400, plain: 4000 },
  copy_transport: {
    sources: ['copy_transport'],
    beside: ['copy_arena', 'pool'],
    calls: ['recv'],
    longest: 400,
  },
  return_ring: { sources: ['../queue/return_ring'], calls: [], longest: 120, plain: 2000 },
  refill_ring: { sources: ['../zcrx/refill_ring'], calls: [], longest: 120, plain: 2000 },
};

const FLAGS = [
  ...['-std=c++20', '-O2', '-g', '-Wall', '-Wextra', '-Werror'],
  ...['-fno-omit-frame-pointer', '-fno-sanitize-recover=all', '-DDEVMEM_CHUNK_PAGES=64'],
  ...['-I', native, '-I', fuzz],
];
const PROFILE = ['-fprofile-instr-generate', '-fcoverage-mapping'];
const PLAIN_SEED = '1';

/** @param {string} source */
const underTest = (source) => path.join(native, 'receive', `${source}.cc`);

/**
 * Compiles a target. Only the code under test counts towards coverage and guides the
 * fuzzer: the harness is sanitized, but not instrumented. Returns what to link.
 * @param {string} name
 * @param {Target} target
 * @param {string} clang
 * @param {string} folder
 */
function compileTarget(name, target, clang, folder) {
  const objects = [...target.sources, ...(target.beside ?? [])].map((source) => {
    const object = path.join(folder, `${path.basename(source)}.o`);
    const instrument = [`-fsanitize=fuzzer-no-link,${SANITIZERS}`, ...PROFILE];
    compile(clang, [...FLAGS, ...instrument, '-c', underTest(source), '-o', object]);
    return object;
  });
  const harness = path.join(folder, 'harness.o');
  const source = path.join(fuzz, `${name}.cc`);
  compile(clang, [...FLAGS, `-fsanitize=${SANITIZERS}`, '-c', source, '-o', harness]);
  const wraps = target.calls.map((call) => `-Wl,--wrap=${call}`);
  return [...PROFILE, ...wraps, harness, ...objects];
}

/**
 * The last number that a pattern finds in a log; 0 where there is none.
 * @param {string} log
 * @param {RegExp} pattern
 */
const last = (log, pattern) => Number([...log.matchAll(pattern)].at(-1)?.[1] ?? 0);

/**
 * What runs of a target have in common.
 * @typedef {object} Build
 * @property {string} name
 * @property {Target} target
 * @property {string} clang
 * @property {string} folder where all that is built and found goes
 * @property {string[]} link
 */

/**
 * Runs a program of a target, and tells how often it reached what. False where it failed, or
 * never reached something.
 * @param {Build} build
 * @param {string} program
 * @param {string[]} args
 * @param {(output: string, seconds: number) => string} summary
 */
function attempt({ name, folder }, program, args, summary) {
  // A large quarantine of freed blocks costs more than it finds: inputs are short-lived.
  const env = { ASAN_OPTIONS: 'quarantine_size_mb=8', LLVM_PROFILE_FILE: `${program}.profile` };
  const start = performance.now();
  const { status, output } = run(program, args, env);
  process.stdout.write(`${name}: ${summary(output, (performance.now() - start) / 1000)}\n`);
  const reached = [...output.matchAll(/^reached: (\d+) (.+)$/gm)];
  for (const [, count, what] of reached) {
    process.stdout.write(`  ${(count ?? '').padStart(12)}  ${what}\n`);
  }
  if (status !== 0) {
    process.stderr.write(output.split('\n').slice(-60).join('\n'));
    const kept = readdirSync(folder).find((file) => /^(crash|leak|timeout|oom)-/.test(file));
    say(`${name} failed with status ${status ?? 'of a signal'}`);
    say(`again: ${program} ${kept === undefined ? args.join(' ') : path.join(folder, kept)}`);
    return false;
  }
  const missed = reached.filter(([, count]) => count === '0').map(([, , what]) => what);
  if (reached.length === 0 || missed.length > 0) {
    say(`${name} failed. Never reached: ${missed.join(', ')}. No input leads there`);
    return false;
  }
  return true;
}

/**
 * Random bytes, the same ones each time.
 * @param {Build} build
 */
function runPlain(build) {
  const { target, clang, folder, link } = build;
  if (target.plain === undefined) return true;
  const program = path.join(folder, 'plain');
  const source = path.join(fuzz, 'plain.cc');
  compile(clang, [...FLAGS, `-fsanitize=${SANITIZERS}`, source, ...link, '-o', program]);
  const args = [String(target.plain), String(target.longest), PLAIN_SEED];
  const summary = (/** @type {string} */ _, /** @type {number} */ seconds) =>
    `${target.plain} plain inputs in ${seconds.toFixed(0)} s`;
  return attempt(build, program, args, summary);
}

/**
 * From a copy of the corpus on.
 * @param {Build} build
 * @param {string} limit libFuzzer's option
 */
function runFuzzer(build, limit) {
  const { name, target, clang, folder, link } = build;
  const program = path.join(folder, name);
  compile(clang, [`-fsanitize=fuzzer,${SANITIZERS}`, ...link, '-o', program]);
  const corpus = path.join(folder, 'corpus');
  cpSync(path.join(fuzz, 'corpus', name), corpus, { recursive: true });
  const seeds = readdirSync(corpus).length;
  const args = [
    ...[corpus, limit, `-max_len=${target.longest}`, `-artifact_prefix=${folder}/`],
    ...['-timeout=10', '-rss_limit_mb=2048', '-print_final_stats=1'],
  ];
  const summary = (/** @type {string} */ output, /** @type {number} */ seconds) => {
    const runs = last(output, /stat::number_of_executed_units: (\d+)/g);
    const files = target.sources.map(underTest);
    const lines = lineCoverage(clang, program, `${program}.profile`, files);
    return (
      `${runs} inputs in ${seconds.toFixed(0)} s, ${(runs / seconds).toFixed(0)} a second; ` +
      `${last(output, /cov: (\d+)/g)} edges${lines} covered; ` +
      `corpus ${seeds} -> ${last(output, /corp: (\d+)/g)}`
    );
  };
  return attempt(build, program, args, summary);
}

/**
 * @param {string} name
 * @param {Target} target
 * @param {string} clang
 * @param {string} folder
 * @param {string} limit
 */
function fuzzTarget(name, target, clang, folder, limit) {
  mkdirSync(folder);
  const link = compileTarget(name, target, clang, folder);
  const build = { name, target, clang, folder, link };
  return runPlain(build) && runFuzzer(build, limit);
}

/**
 * A whole number above 0.
 * @param {string} name
 * @param {string} text
 */
function count(name, text) {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) fail(`--${name} takes a number, not '${text}'`);
  return value;
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    runs: { type: 'string' },
    target: { type: 'string' },
  },
});
const targets = Object.entries(TARGETS).filter(([name]) => name === (values.target ?? name));
if (targets.length === 0) fail(`--target takes one of ${Object.keys(TARGETS).join(', ')}`);
const seconds = Math.ceil(count('seconds', values.seconds) / targets.length);
const limit =
  values.runs === undefined ? `-max_total_time=${seconds}` : `-runs=${count('runs', values.runs)}`;

const folder = mkdtempSync(path.join(tmpdir(), 'devmem-tcp-fuzz-'));
const clang = compiler(folder);
const failed = targets.filter(
  ([name, target]) => !fuzzTarget(name, target, clang, path.join(folder, name), limit),
);
if (failed.length === 0) rmSync(folder, { recursive: true });
process.exitCode = failed.length === 0 ? 0 : 1;
