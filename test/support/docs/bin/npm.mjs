// @ts-check
// `npm` as the documents use it, for what would take too long or needs a network: looks
// whether there is what it is told to run, and runs the demo.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { parseCommandLine } from '../../../../kernel/lab/options.mjs';

const root = fileURLToPath(new URL('../../../..', import.meta.url));
const manifest = /** @type {{ name: string, scripts: Record<string, string> }} */ (
  JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
);

/**
 * @param {string} name of a script
 * @param {string[]} args
 */
function run(name, args) {
  if (!Object.hasOwn(manifest.scripts, name)) throw new Error(`there is no script '${name}'`);
  const missing = args.find((arg) => arg.startsWith('bench/') && !existsSync(path.join(root, arg)));
  if (missing !== undefined) throw new Error(`there is no ${missing}`);
  if (name === 'lab') parseCommandLine(args);
  if (name !== 'demo' || args.length > 0) return 0;
  const demo = [path.join(root, 'dist/bundle/cli.js'), 'demo', '--bytes', '16M'];
  return spawnSync(process.execPath, demo, { stdio: 'inherit' }).status ?? 1;
}

/** @param {string[]} args */
function npm([command, ...rest]) {
  if (command === 'test') return run('test', []);
  if (command === 'install' && rest.join(' ') === manifest.name) return 0;
  const [name = '', dashes = '--', ...args] = rest;
  if (command === 'run' && dashes === '--') return run(name, args);
  throw new Error(`'npm ${[command, ...rest].join(' ')}' is no way to use this package`);
}

try {
  process.exitCode = npm(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${String(error)}\n`);
  // As the commands of this package for what makes no sense.
  process.exitCode = 64;
}
