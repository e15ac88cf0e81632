// @ts-check
// `npm run fuzz`: feeds hostile input to what reads the kernel's records, under the
// address and undefined-behaviour sanitizers. test/fuzz/README.md tells about the targets.
//
//   node scripts/fuzz.mjs [--seconds N | --runs N] [--target NAME]
//
// --seconds N   for all targets together (default 60)
// --runs N      inputs for each target, however long they take
// --target NAME one target alone
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const native = path.join(root, 'src', 'native');
const fuzz = path.join(root, 'test', 'fuzz');

/**
 * Per target: the sources under test, the system calls that the harness stands in
 * for, and the longest input in bytes that still reaches something new.
 * @type {Record<string, { sources: string[], calls: string[], longest: number }>}
 */
const TARGETS = {
  records: { sources: ['records'], calls: [], longest: 2048 },
  token_ranges: { sources: ['token_ranges'], calls: ['setsockopt'], longest: 160 },
  transport: {
    sources: ['cmsg_transport', 'records', 'scratch', 'token_ranges'],
    calls: ['recvmsg', 'setsockopt'],
    longest: 768,
  },
};

const FLAGS = [
  ...['-std=c++20', '-O2', '-g', '-Wall', '-Wextra', '-Werror'],
  ...['-fno-omit-frame-pointer', '-fno-sanitize-recover=all'],
  ...['-I', native, '-I', fuzz],
];
const SANITIZERS = 'address,undefined';
const PROFILE = ['-fprofile-instr-generate', '-fcoverage-mapping'];
const OLDEST_CLANG = 14;
const NEWEST_CLANG = 30;

/** @param {string} source */
const underTest = (source) => path.join(native, 'receive', `${source}.cc`);

/** @param {string} text */
function say(text) {
  process.stderr.write(`fuzz: ${text}\n`);
}

/**
 * @param {string} text
 * @returns {never}
 */
function fail(text) {
  say(text);
  process.exit(1);
}

/**
 * Runs a program to its end and returns what it wrote.
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env] besides this process's own
 */
function run(command, args, env = {}) {
  const result = spawnSync(command, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    maxBuffer: 2 ** 28,
  });
  return { status: result.status, output: `${result.stdout}${result.stderr}` };
}

/**
 * Whether a compiler is there and has libFuzzer with it.
 * @param {string} compiler
 * @param {string} folder to try it in
 */
function canFuzz(compiler, folder) {
  const program = path.join(folder, 'probe.cc');
  writeFileSync(
    program,
    '#include <span>\nextern "C" int LLVMFuzzerTestOneInput() { return 0; }\n',
  );
  const flags = ['-std=c++20', `-fsanitize=fuzzer,${SANITIZERS}`];
  return run(compiler, [...flags, program, '-o', path.join(folder, 'probe')]).status === 0;
}

/** @param {string} folder */
function findCompiler(folder) {
  const names = ['clang++'];
  for (let version = NEWEST_CLANG; version >= OLDEST_CLANG; version--) {
    names.push(`clang++-${version}`);
  }
  const chosen = process.env.CXX;
  if (chosen?.includes('clang') === true) names.unshift(chosen);
  return names.find((name) => canFuzz(name, folder));
}

/** Installs the distribution's clang where that can be done. */
function installCompiler() {
  const superuser = process.getuid?.() === 0;
  // Lists first: a fresh machine has none, and stale ones name files that are gone.
  if (superuser) run('apt-get', ['update']);
  const [, version] =
    /Depends: clang-(\d+)/.exec(run('apt-cache', ['depends', 'clang']).output) ?? [];
  const suffix = version ?? String(OLDEST_CLANG);
  const packages = [`clang-${suffix}`, `libclang-rt-${suffix}-dev`, `llvm-${suffix}`];
  const install = ['install', '-y', '--no-install-recommends', ...packages];
  if (version !== undefined && superuser) {
    say(`installing ${packages.join(' ')}`);
    if (run('apt-get', install, { DEBIAN_FRONTEND: 'noninteractive' }).status === 0) return;
  }
  fail(`clang with libFuzzer is needed: 'apt-get install ${packages.join(' ')}'`);
}

/** @param {string} folder */
function compiler(folder) {
  const found = findCompiler(folder);
  if (found !== undefined) return found;
  installCompiler();
  return findCompiler(folder) ?? fail('the installed clang cannot link a fuzzer');
}

/**
 * @param {string} clang
 * @param {string[]} args
 */
function compile(clang, args) {
  const { status, output } = run(clang, args);
  if (status !== 0) fail(`${output}\n'${clang}' failed`);
}

/**
 * Builds a target. Only the code under test counts towards coverage and guides the
 * fuzzer: the harness is sanitized, but not instrumented.
 * @param {string} name
 * @param {string} clang
 * @param {string} folder
 */
function build(name, clang, folder) {
  const { sources, calls } = /** @type {typeof TARGETS[string]} */ (TARGETS[name]);
  const objects = sources.map((source) => {
    const object = path.join(folder, `${source}.o`);
    const instrument = [`-fsanitize=fuzzer-no-link,${SANITIZERS}`, ...PROFILE];
    compile(clang, [...FLAGS, ...instrument, '-c', underTest(source), '-o', object]);
    return object;
  });
  const wraps = calls.map((call) => `-Wl,--wrap=${call}`);
  const harness = path.join(folder, 'harness.o');
  const source = path.join(fuzz, `${name}.cc`);
  compile(clang, [...FLAGS, `-fsanitize=${SANITIZERS}`, '-c', source, '-o', harness]);
  const binary = path.join(folder, name);
  const link = [`-fsanitize=fuzzer,${SANITIZERS}`, ...PROFILE, ...wraps, harness, ...objects];
  compile(clang, [...link, '-o', binary]);
  return binary;
}

/**
 * How much of the code under test ran, in words; nothing where llvm's tools are missing.
 * @param {string} clang
 * @param {string} binary
 * @param {string} profile
 * @param {string[]} files
 */
function lineCoverage(clang, binary, profile, files) {
  const [, version] = /clang version (\d+)/.exec(run(clang, ['--version']).output) ?? [];
  for (const suffix of [`-${version ?? ''}`, '']) {
    const merged = `${profile}.merged`;
    const merge = ['merge', '-sparse', profile, '-o', merged];
    if (run(`llvm-profdata${suffix}`, merge).status !== 0) continue;
    const report = ['export', '-summary-only', `-instr-profile=${merged}`, binary, ...files];
    const { status, output } = run(`llvm-cov${suffix}`, report);
    if (status !== 0) continue;
    const { data } = /** @type {CoverageReport} */ (JSON.parse(output));
    const { covered, count } = data[0].totals.lines;
    return `, ${covered} of ${count} lines`;
  }
  return '';
}

/** @typedef {{ data: [{ totals: { lines: { covered: number, count: number } } }] }} CoverageReport */

/**
 * The last number that a pattern finds in a log; 0 where there is none.
 * @param {string} log
 * @param {RegExp} pattern
 */
const last = (log, pattern) => Number([...log.matchAll(pattern)].at(-1)?.[1] ?? 0);

/**
 * Fuzzes one target in `folder`, from a copy of its corpus. False where it failed.
 * @param {string} name
 * @param {string} clang
 * @param {string} folder
 * @param {string} limit libFuzzer's option
 */
function fuzzTarget(name, clang, folder, limit) {
  mkdirSync(folder);
  const binary = build(name, clang, folder);
  const corpus = path.join(folder, 'corpus');
  cpSync(path.join(fuzz, 'corpus', name), corpus, { recursive: true });
  const seeds = readdirSync(corpus).length;
  const args = [
    ...[corpus, limit, `-max_len=${TARGETS[name]?.longest ?? 0}`, `-artifact_prefix=${folder}/`],
    ...['-timeout=10', '-rss_limit_mb=2048', '-print_final_stats=1'],
  ];
  const start = performance.now();
  // A large quarantine of freed blocks costs more than it finds: inputs are short-lived.
  const profile = path.join(folder, 'profile');
  const env = { ASAN_OPTIONS: 'quarantine_size_mb=8', LLVM_PROFILE_FILE: profile };
  const { status, output } = run(binary, args, env);
  const seconds = (performance.now() - start) / 1000;

  const runs = last(output, /stat::number_of_executed_units: (\d+)/g);
  const covered = last(output, /cov: (\d+)/g);
  const files = TARGETS[name]?.sources.map(underTest) ?? [];
  const inputs = last(output, /corp: (\d+)/g);
  process.stdout.write(
    `${name}: ${runs} inputs in ${seconds.toFixed(0)} s, ${(runs / seconds).toFixed(0)} a second; ` +
      `${covered} edges${lineCoverage(clang, binary, profile, files)} covered; corpus ${seeds} -> ${inputs}\n`,
  );
  const reached = [...output.matchAll(/^reached: (\d+) (.+)$/gm)];
  for (const [, count, what] of reached) {
    process.stdout.write(`  ${(count ?? '').padStart(12)}  ${what}\n`);
  }
  if (status !== 0) {
    process.stderr.write(output.split('\n').slice(-60).join('\n'));
    const kept = readdirSync(folder).find((file) => /^(crash|leak|timeout|oom)-/.test(file));
    if (kept === undefined) {
      say(`${name} ended with status ${status ?? 'of a signal'} and no input to blame`);
    } else {
      say(`${name} failed. Input kept: ${path.join(folder, kept)}`);
      say(`again: ${binary} ${path.join(folder, kept)}`);
    }
    return false;
  }
  const missed = reached.filter(([, count]) => count === '0').map(([, , what]) => what);
  if (reached.length === 0 || missed.length > 0) {
    say(`${name} failed. Never reached: ${missed.join(', ')}. The corpus lacks an input for it`);
    return false;
  }
  return true;
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
const names = values.target === undefined ? Object.keys(TARGETS) : [values.target];
if (names.some((name) => !(name in TARGETS))) {
  fail(`--target takes one of ${Object.keys(TARGETS).join(', ')}`);
}
const seconds = Math.ceil(count('seconds', values.seconds) / names.length);
const limit =
  values.runs === undefined ? `-max_total_time=${seconds}` : `-runs=${count('runs', values.runs)}`;

const folder = mkdtempSync(path.join(tmpdir(), 'devmem-tcp-fuzz-'));
const clang = compiler(folder);
const failed = names.filter((name) => !fuzzTarget(name, clang, path.join(folder, name), limit));
if (failed.length === 0) rmSync(folder, { recursive: true });
process.exitCode = failed.length === 0 ? 0 : 1;
