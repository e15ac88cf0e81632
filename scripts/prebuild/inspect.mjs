// @ts-check
/** What a binary needs of the machine that loads it, against what it may need. */
import { runTool } from '../../kernel/lab/process.mjs';
import { compareVersions } from '../../kernel/lab/apt.mjs';

/** Of Debian 10, Ubuntu 18.10 and RHEL 8; Node.js 20 and newer need as much. */
export const OLDEST_GLIBC = '2.28';

/** The C library and its parts. Node.js has no other in each process. */
const LIBRARY = /^(?:lib(?:c|m|dl|rt|pthread)\.so(?:\.\d+)?|ld-linux-[\w-]+\.so\.\d)$/;

/** What Node.js gives to addons. */
const OF_NODE = /^(?:napi_|node_api_|uv_)/;

/** What Node.js looks for in an addon. */
const ENTRIES = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];

/**
 * @param {string} file
 * @param {import('./targets.mjs').Target} target
 * @returns {Promise<string[]>} what is wrong with it, in words; empty where nothing is
 */
export async function faultsOf(file, target) {
  const { needed, taken, given, glibc } = await inspect(file);
  const foreign = needed.filter((name) => !LIBRARY.test(name));
  const open = given.filter((name) => !ENTRIES.includes(name));
  const missing = ENTRIES.filter((name) => !given.includes(name));
  const newest = [...glibc].sort(compareVersions).at(-1);
  const loose = taken.filter((name) => !OF_NODE.test(name) && !name.includes('@'));
  return [
    ...foreign.map((name) => `needs ${name}`),
    ...open.map((name) => `shows ${name} to the whole process`),
    ...missing.map((name) => `has no ${name}`),
    ...(newest !== undefined && compareVersions(newest, OLDEST_GLIBC) > 0
      ? [`needs glibc ${newest}, above ${OLDEST_GLIBC}`]
      : []),
    ...(target.libc === 'glibc' ? loose.map((name) => `takes ${name} from nowhere`) : []),
  ];
}

/**
 * @param {string} file
 * @returns {Promise<{ needed: string[], taken: string[], given: string[], glibc: string[] }>}
 *   libraries; symbols from outside and for outside; versions of glibc
 */
export async function inspect(file) {
  const dynamic = await runTool('readelf', ['--dynamic', '--wide', file]);
  const symbols = await runTool('readelf', ['--dyn-syms', '--wide', file]);
  const versions = await runTool('readelf', ['--version-info', '--wide', file]);
  /** @type {{ taken: string[], given: string[] }} */
  const found = { taken: [], given: [] };
  for (const line of symbols.split('\n')) {
    // Num: Value Size Type Bind Vis Ndx Name
    const [number = '', , , , bind, , index, name] = line.trim().split(/\s+/);
    if (!/^\d+:$/.test(number) || name === undefined) continue;
    if (index !== 'UND') found.given.push(name);
    else if (bind !== 'WEAK') found.taken.push(name);
  }
  return {
    needed: [...dynamic.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(([, name = '']) => name),
    ...found,
    glibc: [...versions.matchAll(/Name: GLIBC_([\d.]+)/g)].map(([, version = '']) => version),
  };
}
