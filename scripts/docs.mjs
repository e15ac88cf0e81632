// @ts-check
// The documentation as a site, of README, docs and the API reference.
//
//   node scripts/docs.mjs build [OPTION]…  makes it in site/.vitepress/dist
//   node scripts/docs.mjs dev [OPTION]…    serves it, and what is changed meanwhile
//
// What makes it is installed below site/, on first use: nothing else needs it.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const LOCK = 'site/package-lock.json';
// npm writes it when it has installed.
const INSTALLED = 'site/node_modules/.package-lock.json';

/**
 * @param {string} command
 * @param {...string} args
 */
function run(command, ...args) {
  const { status } = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) process.exit(status ?? 1);
}

const [command = 'build', ...options] = process.argv.slice(2);
if (!['build', 'dev'].includes(command)) throw new Error(`'${command}' is neither build nor dev`);
if (!existsSync(INSTALLED) || statSync(INSTALLED).mtimeMs < statSync(LOCK).mtimeMs) {
  run('npm', 'ci', '--prefix', 'site', '--ignore-scripts', '--no-audit', '--no-fund');
}
run(process.execPath, 'node_modules/typedoc/bin/typedoc', '--logLevel', 'Warn');
const vitepress = path.resolve('site/node_modules/vitepress/bin/vitepress.js');
run(process.execPath, vitepress, command, 'site', ...options);
