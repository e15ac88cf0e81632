// @ts-check
// Every check of form: types, ESLint, Prettier, clang-format for the addon, and
// checkpatch for the kernel's C where the kernel's script is in the cache.
//
//   node scripts/lint.mjs          check
//   node scripts/lint.mjs --fix    format C++ in place
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);

/** @type {string[]} */
const failed = [];

/**
 * Files that git tracks (or would), by pattern.
 * @param {...string} patterns
 */
function files(...patterns) {
  const args = ['ls-files', '--cached', '--others', '--exclude-standard', '--', ...patterns];
  const listed = spawnSync('git', args, { encoding: 'utf8' }).stdout.split('\n');
  return listed.filter((name) => name !== '' && existsSync(name));
}

/**
 * @param {string} name
 * @param {string} command a program, or a script of node_modules
 * @param {string[]} args
 */
function check(name, command, args) {
  const script = path.join(root, 'node_modules', command);
  const line = existsSync(script) ? [process.execPath, script, ...args] : [command, ...args];
  const result = spawnSync(line[0] ?? '', line.slice(1), {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const passed = result.status === 0;
  process.stdout.write(`lint: ${name} ${passed ? 'ok' : 'FAILED'}\n`);
  if (!passed) failed.push(name);
}

/** The kernel's checkpatch.pl, which the headers' package brings along. */
function checkpatch() {
  const found = spawnSync(process.execPath, ['kernel/lab/lab.mjs', '--print-paths', '--quiet'], {
    encoding: 'utf8',
  });
  if (found.status !== 0) return undefined;
  return /** @type {{ checkpatch?: string }} */ (JSON.parse(found.stdout)).checkpatch;
}

const clang = files('src/native/*.cc', 'src/native/*.h');
const clangFormat = 'clang-format/index.js';
if (process.argv.includes('--fix')) {
  check('clang-format', clangFormat, ['-i', ...clang]);
} else {
  check('types', 'typescript/bin/tsc', ['-p', 'tsconfig.json']);
  check('eslint', 'eslint/bin/eslint.js', ['.']);
  check('prettier', 'prettier/bin/prettier.cjs', ['--check', '--log-level', 'warn', '.']);
  check('clang-format', clangFormat, ['--dry-run', '--Werror', ...clang]);
  const script = checkpatch();
  const kernel = files('kernel/devmemsim/*.c', 'kernel/devmemsim/*.h');
  if (script === undefined) {
    process.stdout.write("lint: checkpatch skipped: run 'npm run lab -- --prepare' once\n");
  } else {
    check('checkpatch', 'perl', [script, '--strict', '--no-tree', '--quiet', '-f', ...kernel]);
  }
}
process.exitCode = failed.length === 0 ? 0 : 1;
