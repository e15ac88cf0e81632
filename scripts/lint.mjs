// @ts-check
// Every check of form: types, ESLint, Prettier, an API reference in which nothing exported
// is undocumented, clang-format for the addon, and checkpatch for the kernel's C.
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
 * @param {string} script relative to node_modules, or absolute
 * @param {string[]} args
 */
function check(name, script, args) {
  const line = [path.resolve('node_modules', script), ...args];
  const result = spawnSync(process.execPath, line, { stdio: ['ignore', 'inherit', 'inherit'] });
  const passed = result.status === 0;
  process.stdout.write(`lint: ${name} ${passed ? 'ok' : 'FAILED'}\n`);
  if (!passed) failed.push(name);
}

const sources = ['src/native/*.cc', 'src/native/*.h', 'src/native/*.cu'];
const clang = files(...sources, 'test/fuzz/*.cc', 'test/fuzz/*.h');
const clangFormat = 'clang-format/index.js';
if (process.argv.includes('--fix')) {
  check('clang-format', clangFormat, ['-i', ...clang]);
} else {
  check('types', 'typescript/bin/tsc', ['-p', 'tsconfig.json']);
  check('eslint', 'eslint/bin/eslint.js', ['.']);
  check('prettier', 'prettier/bin/prettier.cjs', ['--check', '--log-level', 'warn', '.']);
  check('api reference', 'typedoc/bin/typedoc', ['--emit', 'none', '--logLevel', 'Warn']);
  check('clang-format', clangFormat, ['--dry-run', '--Werror', ...clang]);
  // 0000 is a series' cover letter.
  const patches = files('kernel/patches/*.patch').filter((name) => !name.includes('/0000-'));
  const modules = [
    'kernel/devmemsim/*.c',
    'kernel/devmemsim/*.h',
    'bench/lab/netlink-return/netlink_return.*',
  ];
  const kernel = [...files(...modules), ...patches];
  check('checkpatch', `${root}kernel/lab/lab.mjs`, ['--checkpatch', ...kernel]);
}
process.exitCode = failed.length === 0 ? 0 : 1;
