// @ts-check
// Makes a fresh clone ready: dependencies, addon, TypeScript. Does only what is
// missing or older than its sources, and says what it does on stderr.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const at = (/** @type {string[]} */ ...parts) => path.join(root, ...parts);

/** @param {string} text */
function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

/**
 * Runs npm, quietly unless it fails.
 * @param {string[]} args
 * @param {string} hint what to do when it fails
 */
function npm(args, hint) {
  const cli = process.env.npm_execpath;
  const [command, prefix] = cli?.endsWith('.js') ? [process.execPath, [cli]] : ['npm', []];
  const result = spawnSync(command, [...prefix, ...args], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 2 ** 26,
  });
  if (result.status === 0) return;
  process.stderr.write(`${result.stdout}${result.error?.message ?? result.stderr}\n`);
  say(`'npm ${args.join(' ')}' failed. ${hint}`);
  process.exit(1);
}

/**
 * The newest modification time below a folder, in milliseconds.
 * @param {string} target a file or folder
 * @returns {number}
 */
function newest(target) {
  const stat = statSync(target);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(0, ...readdirSync(target).map((name) => newest(path.join(target, name))));
}

/**
 * @param {string} product
 * @param {string[]} sources
 */
function outdated(product, sources) {
  if (!existsSync(product)) return true;
  const made = statSync(product).mtimeMs;
  return sources.some((source) => newest(source) > made);
}

function installDependencies() {
  const stamp = at('node_modules', '.devmem-tcp-lock');
  const lock = createHash('sha256')
    .update(readFileSync(at('package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  say('installing dependencies');
  npm(
    ['ci', '--ignore-scripts', '--no-audit', '--no-fund'],
    'Check the connection to the npm registry',
  );
  writeFileSync(stamp, lock);
}

function buildAddon() {
  if (process.platform !== 'linux') return;
  const addon = at('build', 'Release', 'devmem_tcp.node');
  if (!outdated(addon, [at('src', 'native'), at('binding.gyp')])) return;
  say('building the addon');
  npm(
    ['run', 'build:native'],
    "A C++20 compiler, make and Python 3 are needed: 'apt-get install g++ make python3'",
  );
}

function buildTypeScript() {
  const bundle = at('dist', 'bundle', 'index.js');
  const settings = [at('tsconfig.json'), at('tsconfig.build.json'), at('scripts', 'bundle.mjs')];
  if (!outdated(bundle, [at('src', 'ts'), ...settings])) return;
  say('building TypeScript');
  npm(['run', 'build:ts'], 'See the errors above');
}

installDependencies();
buildAddon();
buildTypeScript();
