// @ts-check
// npm runs this where it makes the package of a git repository (`npm install git+…`),
// which has neither dist nor binaries: builds both, the binary for this machine.
//
// npm also runs it for `npm ci` and `npm install` in a clone, where it does nothing:
// `npm run setup` builds there, when something is wanted of it.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { writeBindingCopy } from './binding-copy.mjs';
import { headers, hostTarget, prebuildOf } from './prebuild/targets.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** npm sets it to the folder that it was started in. */
const { INIT_CWD: startedIn } = process.env;

function isForAnother() {
  return startedIn !== undefined && path.relative(root, startedIn).startsWith('..');
}

/**
 * @param {string} script relative to node_modules
 * @param {string[]} args
 */
function run(script, args) {
  const command = [path.join(root, 'node_modules', script), ...args];
  const env = { JOBS: 'max', ...headers(), ...process.env };
  return spawnSync(process.execPath, command, { cwd: root, stdio: 'inherit', env }).status === 0;
}

function buildTypeScript() {
  const compiled = run('typescript/bin/tsc', ['-p', 'tsconfig.build.json']);
  if (!compiled || !run('../scripts/bundle.mjs', [])) {
    throw new Error('TypeScript could not be built: see above');
  }
}

/** Where that fails, the package is whole but for its binary, and says so when it is used. */
function buildBinary() {
  const target = hostTarget();
  if (process.platform !== 'linux' || target === undefined) return;
  const binary = path.join(root, prebuildOf(target));
  if (existsSync(binary)) return;
  if (!run('node-gyp/bin/node-gyp.js', ['rebuild'])) {
    process.stderr.write('prepare: no binary: it takes a C++20 compiler, make and Python 3\n');
    return;
  }
  mkdirSync(path.dirname(binary), { recursive: true });
  copyFileSync(path.join(root, 'build/Release/devmem_tcp.node'), binary);
}

if (isForAnother() && !existsSync(path.join(root, 'dist/bundle/index.js'))) {
  buildTypeScript();
  buildBinary();
  writeBindingCopy();
}
