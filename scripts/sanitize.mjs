// @ts-check
// `npm run test:sanitize`: the host tests with an addon that watches itself. Builds it
// with the address and undefined-behaviour sanitizers in a folder of its own, runs the
// tests, and fails where they fail, where a sanitizer has anything to report, and where
// memory that the addon allocated is leaked.
//
//   node scripts/sanitize.mjs [VITEST OPTIONS]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const watch = path.join(root, 'test', 'sanitize');
// Inside node_modules, where node-addon-api is found. It stays, so that a second
// build compiles only what has changed.
const folder = path.join(root, 'node_modules', '.cache', 'devmem-tcp-sanitize');
const ADDON = 'devmem_tcp.node';

/** @param {string} text */
function say(text) {
  process.stderr.write(`sanitize: ${text}\n`);
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
 * A sanitizer's shared library, as gcc ships it.
 * @param {string} name
 */
function library(name) {
  const found = spawnSync('gcc', [`-print-file-name=${name}`], { encoding: 'utf8' });
  const file = found.error === undefined ? found.stdout.trim() : name;
  // gcc answers with the bare name where it has no such file.
  if (!path.isAbsolute(file)) fail(`gcc with ${name} is needed: 'apt-get install gcc g++'`);
  return file;
}

/**
 * Runs node-gyp through npm, whose configuration says where Node's headers are.
 * @param {...string} args
 */
function nodeGyp(...args) {
  const cli = process.env.npm_execpath;
  const [command, prefix] = cli?.endsWith('.js') ? [process.execPath, [cli]] : ['npm', []];
  const line = [...prefix, 'exec', '--no', '--', 'node-gyp', '--directory', folder, ...args];
  const result = spawnSync(command, line, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, CC: 'gcc', CXX: 'g++' },
    maxBuffer: 2 ** 26,
  });
  if (result.status === 0) return;
  process.stderr.write(`${result.stdout}${result.error?.message ?? result.stderr}\n`);
  fail(`'node-gyp ${args.join(' ')}' failed`);
}

function buildAddon() {
  mkdirSync(folder, { recursive: true });
  for (const name of ['binding.gyp', 'src']) {
    const link = path.join(folder, name);
    if (!existsSync(link)) symlinkSync(path.join(root, name), link);
  }
  say('building the addon with sanitizers');
  nodeGyp('configure', '--', '-Dsanitize=address,undefined,float-cast-overflow');
  nodeGyp('build', '--jobs', 'max');
}

/** @param {string} logs folder for the sanitizers' reports, a file per process */
function environment(logs) {
  const address = {
    log_path: path.join(logs, 'address'),
    detect_leaks: 1,
    // A leak is found at exit: the status stays what the program says, since tests
    // look at it. Other errors end the process, and so does a search for leaks that
    // dies (see searchDied), with the same status: the reports tell of them.
    exitcode: 0,
    abort_on_error: 0,
    // Names the module of each frame.
    stack_trace_format: '"    #%n %p %F %S %M"',
  };
  // Reports on stderr, whatever is asked for, and ends the process.
  const undefinedBehaviour = { print_stacktrace: 1, abort_on_error: 1 };
  const leaks = {
    suppressions: path.join(watch, 'leaks.supp'),
    print_suppressions: 0,
  };
  /** @param {Record<string, string | number>} options */
  const joined = (options) =>
    Object.entries(options)
      .map(([name, value]) => `${name}=${value}`)
      .join(':');
  return {
    DEVMEM_INTERLEAVINGS: '100',
    DEVMEM_READER_PROGRAMS: '100',
    DEVMEM_RUNS: '50',
    ...process.env,
    LD_PRELOAD: `${library('libasan.so')} ${library('libubsan.so')}`,
    ASAN_OPTIONS: joined(address),
    UBSAN_OPTIONS: joined(undefinedBehaviour),
    LSAN_OPTIONS: joined(leaks),
    // node-gyp-build's way to be told where the addon is.
    DEVMEM_TCP_PREBUILD: folder,
    DEVMEM_TCP_SANITIZE_LOGS: logs,
    NODE_OPTIONS: `--import=${pathToFileURL(path.join(watch, 'preload.mjs')).href}`,
  };
}

/**
 * The parts of a process's report that this project has to answer for: all of it,
 * except for leaks of memory that others allocated.
 * @param {string} report
 */
function ownFaults(report) {
  if (!report.includes('LeakSanitizer: detected memory leaks')) return [report];
  return report.split(/\n\n+/).filter((part) => {
    if (/^(Direct|Indirect) leak of /m.test(part)) return part.includes(ADDON);
    // Headline and summary of the leaks; anything else is another error.
    return /ERROR: (?!LeakSanitizer: detected)/.test(part);
  });
}

/**
 * LeakSanitizer stops every thread of the process and reads their memory. Where one is
 * on its way out, that can be gone by then, and LeakSanitizer dies of it. Then nothing is
 * known of the process but that its leaks were not looked for: that is told, and is a
 * fault only where it is too often for chance.
 * @param {string} report
 */
function searchDied(report) {
  return (
    report.includes('LeakSanitizer has encountered a fatal error') && !report.includes('ERROR: ')
  );
}

const SEARCHES_MAY_DIE = 2;

/**
 * Prints what was reported and returns how much that is.
 * @param {string} logs
 */
function readReports(logs) {
  const reports = readdirSync(logs).map((name) => ({
    name,
    text: readFileSync(path.join(logs, name), 'utf8'),
  }));
  const died = reports.filter(({ text }) => searchDied(text));
  if (died.length > 0) say(`in ${died.length} processes, the search for leaks died`);
  const byChance = died.length <= SEARCHES_MAY_DIE ? died : [];

  let faults = 0;
  for (const { name, text } of reports.filter((report) => !byChance.includes(report))) {
    for (const fault of ownFaults(text)) {
      process.stderr.write(`\n── ${name}\n${fault}\n`);
      faults++;
    }
  }
  return faults;
}

buildAddon();
const logs = mkdtempSync(path.join(tmpdir(), 'devmem-tcp-sanitize-'));
const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
const tests = spawnSync(
  process.execPath,
  [vitest, 'run', '--project', 'host', '--pool', 'forks', ...process.argv.slice(2)],
  { cwd: root, env: environment(logs), stdio: ['ignore', 'inherit', 'inherit'] },
);
const faults = readReports(logs);
rmSync(logs, { recursive: true });
say(`tests ${tests.status === 0 ? 'passed' : 'FAILED'}, ${faults} reports of the sanitizers`);
process.exitCode = tests.status === 0 && faults === 0 ? 0 : 1;
