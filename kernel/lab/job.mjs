// @ts-check
/** What the guest is told: two small shell files in the folder of a run. */
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { searchPath } from './process.mjs';
import { LabError, STATUS } from './report.mjs';

const GUEST_FOLDER = fileURLToPath(new URL('guest', import.meta.url));

/** Where things are inside the guest's network, as tests see it. Documentation addresses (RFC 5737, 3849). */
export const NETWORK_ENVIRONMENT = Object.freeze({
  DEVMEM_LAB_INTERFACE: 'dms0',
  DEVMEM_LAB_ADDRESS: '192.0.2.1',
  DEVMEM_LAB_ADDRESS6: '2001:db8::1',
  DEVMEM_LAB_PEER_INTERFACE: 'dms1',
  DEVMEM_LAB_PEER_ADDRESS: '192.0.2.2',
  DEVMEM_LAB_PEER_ADDRESS6: '2001:db8::2',
});

/** What passes from the caller's environment into the guest; everything else stays out. */
const PASSED_NAMES = new Set([
  ...['CI', 'GITHUB_ACTIONS', 'TERM', 'COLORTERM', 'COLUMNS', 'LINES', 'NO_COLOR', 'FORCE_COLOR'],
  ...['HOME', 'USER', 'LANG', 'TZ', 'NODE_OPTIONS', 'NODE_ENV', 'DEBUG', 'VITEST_REPORTER'],
]);
const PASSED_PREFIXES = ['DEVMEM_', 'LC_', 'npm_config_'];

/**
 * @param {NodeJS.ProcessEnv} environment
 * @returns {Record<string, string>} what of it the guest gets
 */
export function passedEnvironment(environment) {
  /** @type {Record<string, string>} */
  const passed = {};
  for (const [name, value] of Object.entries(environment)) {
    const wanted =
      PASSED_NAMES.has(name) || PASSED_PREFIXES.some((prefix) => name.startsWith(prefix));
    if (wanted && value !== undefined) passed[name] = value;
  }
  return passed;
}

/**
 * @param {string} text
 * @returns {string} one word of POSIX shell that means exactly this text
 */
export function quote(text) {
  if (text.includes('\0'))
    throw new LabError('a command or its environment holds a NUL byte', STATUS.usage);
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/**
 * @param {Readonly<Record<string, string>>} variables
 * @returns {string} shell assignments, one a line
 */
const assignments = (variables) =>
  Object.entries(variables)
    .map(([name, value]) => `${name}=${quote(value)}\n`)
    .join('');

/**
 * @typedef {object} Job
 * @property {readonly string[]} command
 * @property {string} cwd
 * @property {string} tree                        the working tree: the one place whose changes last
 * @property {Readonly<Record<string, string>>} env
 * @property {import('./layout.mjs').Kernel} kernel
 * @property {{ module: string, parameters: string } | undefined} driver
 * @property {string} marker                      ends each output stream
 */

/**
 * @param {Job} job
 * @returns {string} the file `command`: the shell program that becomes the command
 */
export function renderCommand({ command, cwd, env }) {
  for (const name of Object.keys(env)) {
    if (!/^[A-Za-z_]\w*$/.test(name))
      throw new LabError(`not a name of a variable: ${name}`, STATUS.usage);
  }
  const exports = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}`);
  return [
    ...exports,
    `cd ${quote(cwd)} || exit 126`,
    `exec ${command.map(quote).join(' ')}`,
    '',
  ].join('\n');
}

/**
 * Fills the folder that the guest's first process reads.
 *
 * @param {string} folder
 * @param {Job} job
 */
export function writeJob(folder, job) {
  const { kernel, driver, tree, marker } = job;
  // The node that runs the lab runs in the guest, whatever else PATH holds.
  const path = ['/run/lab/bin', dirname(process.execPath), searchPath()].join(delimiter);
  const network = driver ? NETWORK_ENVIRONMENT : {};

  const settings = {
    PATH: path,
    LAB_TREE: tree,
    LAB_KERNEL_FOLDER: kernel.folder,
    LAB_DRIVER: driver?.module ?? '',
    LAB_DRIVER_PARAMETERS: driver?.parameters ?? '',
    LAB_MARKER: marker,
    ...network,
  };
  const env = {
    ...job.env,
    PATH: path,
    DEVMEM_LAB: '1',
    DEVMEM_LAB_KERNEL: kernel.name,
    ...network,
  };

  writeFileSync(join(folder, 'settings'), assignments(settings));
  writeFileSync(join(folder, 'command'), renderCommand({ ...job, env }));
  for (const name of ['init.sh', 'nic.sh']) {
    const script = join(folder, name);
    copyFileSync(join(GUEST_FOLDER, name), script);
    // Not every checkout keeps the mode.
    chmodSync(script, 0o755);
  }
}
