// @ts-check
// clang with libFuzzer: finding or installing it, compiling with it, and how much of the
// code under test ran.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

export const SANITIZERS = 'address,undefined';
const OLDEST_CLANG = 14;
const NEWEST_CLANG = 30;

/** @param {string} text */
export function say(text) {
  process.stderr.write(`fuzz: ${text}\n`);
}

/**
 * @param {string} text
 * @returns {never}
 */
export function fail(text) {
  say(text);
  process.exit(1);
}

/**
 * Runs a program to its end and returns what it wrote.
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env] besides this process's own
 */
export function run(command, args, env = {}) {
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
export function compiler(folder) {
  const found = findCompiler(folder);
  if (found !== undefined) return found;
  installCompiler();
  return findCompiler(folder) ?? fail('the installed clang cannot link a fuzzer');
}

/**
 * @param {string} clang
 * @param {string[]} args
 */
export function compile(clang, args) {
  const { status, output } = run(clang, args);
  if (status !== 0) fail(`${output}\n'${clang}' failed`);
}

/**
 * How much of the code under test ran, in words; nothing where llvm's tools are missing.
 * @param {string} clang
 * @param {string} binary
 * @param {string} profile
 * @param {string[]} files
 */
export function lineCoverage(clang, binary, profile, files) {
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
