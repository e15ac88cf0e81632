// @ts-check
/** What the lab needs from the host, and how to get it where a Debian-like host lacks it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { cacheRoot, withLock } from './cache.mjs';
import { findVirtiofsd } from './virtiofs.mjs';
import { runTool, tryTool, which } from './process.mjs';
import { QEMU } from './qemu.mjs';
import { LabError, STATUS } from './report.mjs';

/**
 * @typedef {object} Need
 * @property {string} what      for a person
 * @property {() => boolean} there
 * @property {string[]} packages the first that the host's archive knows is taken
 */

const tool = (/** @type {string} */ name) => () => which(name) !== undefined;
/** The distribution's own, for which its packages are. */
export const PYTHON = '/usr/bin/python3';
const pythonPackage = (/** @type {string} */ name) => () =>
  existsSync(join('/usr/lib/python3/dist-packages', name));
const header = (/** @type {string} */ name) => () => existsSync(join('/usr/include', name));

/**
 * By what they are for.
 *
 * @satisfies {Record<string, readonly Need[]>}
 */
const NEEDS = {
  archive: [
    { what: 'xz', there: tool('xz'), packages: ['xz-utils'] },
    {
      what: 'flock and setpriv',
      there: () => tool('flock')() && tool('setpriv')(),
      packages: ['util-linux'],
    },
    {
      what: "Debian's archive keyring",
      there: () =>
        ['gpg', 'pgp'].some((kind) =>
          existsSync(`/usr/share/keyrings/debian-archive-keyring.${kind}`),
        ),
      packages: ['debian-archive-keyring'],
    },
  ],
  guest: [
    { what: 'QEMU', there: tool(QEMU), packages: ['qemu-system-x86'] },
    // A package of its own since QEMU 8; before, part of QEMU's.
    {
      what: 'virtiofsd',
      there: () => findVirtiofsd() !== undefined,
      packages: ['virtiofsd', 'qemu-system-common'],
    },
    { what: 'modprobe', there: tool('modprobe'), packages: ['kmod'] },
    { what: 'ip', there: tool('ip'), packages: ['iproute2'] },
    { what: 'ethtool', there: tool('ethtool'), packages: ['ethtool'] },
    { what: 'nft', there: tool('nft'), packages: ['nftables'] },
    { what: 'iptables', there: tool('iptables'), packages: ['iptables'] },
  ],
  moduleBuild: [
    { what: 'make', there: tool('make'), packages: ['make'] },
    { what: 'a C compiler', there: tool('gcc'), packages: ['gcc'] },
  ],
  kernelBuild: [
    // For the tools that the build makes for itself: headers of the C library, and of libelf for objtool.
    { what: 'C headers', there: header('stdio.h'), packages: ['libc6-dev'] },
    { what: 'libelf', there: header('gelf.h'), packages: ['libelf-dev'] },
    { what: 'flex', there: tool('flex'), packages: ['flex'] },
    { what: 'bison', there: tool('bison'), packages: ['bison'] },
    { what: 'bc', there: tool('bc'), packages: ['bc'] },
    { what: 'perl', there: tool('perl'), packages: ['perl'] },
    { what: 'patch', there: tool('patch'), packages: ['patch'] },
  ],
  ncdevmem: [
    { what: 'a C compiler', there: tool('gcc'), packages: ['gcc'] },
    { what: 'C headers', there: header('stdio.h'), packages: ['libc6-dev'] },
    { what: 'libmnl', there: header('libmnl/libmnl.h'), packages: ['libmnl-dev'] },
    { what: 'python3', there: () => existsSync(PYTHON), packages: ['python3'] },
    { what: 'PyYAML', there: pythonPackage('yaml'), packages: ['python3-yaml'] },
    { what: 'jsonschema', there: pythonPackage('jsonschema'), packages: ['python3-jsonschema'] },
  ],
  crossBuild: [
    { what: 'clang', there: tool('clang++'), packages: ['clang'] },
    { what: 'lld', there: tool('ld.lld'), packages: ['lld'] },
    { what: 'readelf', there: tool('readelf'), packages: ['binutils'] },
  ],
  libcxxBuild: [
    { what: 'CMake', there: tool('cmake'), packages: ['cmake'] },
    { what: 'Ninja', there: tool('ninja'), packages: ['ninja-build'] },
  ],
  sparse: [{ what: 'sparse', there: tool('sparse'), packages: ['sparse'] }],
  checkpatch: [{ what: 'perl', there: tool('perl'), packages: ['perl'] }],
};

const APT_OPTIONS = ['-q', '--yes', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300'];

/**
 * Sees to it that every tool is there; installs packages where that is possible.
 *
 * @param {import('./report.mjs').Reporter} reporter
 * @param {readonly (keyof typeof NEEDS)[]} purposes
 * @throws {LabError} status 69, with the command that a person would have to run
 */
export async function ensureHostPackages(reporter, purposes) {
  /** @type {Need[]} */
  const needs = purposes.flatMap((purpose) => NEEDS[purpose]);
  const missing = needs.filter(({ there }) => !there());
  if (missing.length === 0) return;

  const what = missing.map((need) => need.what).join(', ');
  if (!which('apt-get')) throw new LabError(`the lab needs ${what}, and runs on Debian and Ubuntu`);
  if (process.getuid?.() !== 0) {
    const packages = (await Promise.all(missing.map(firstKnown))).join(' ');
    throw new LabError(
      `the lab needs ${what}: sudo apt-get install --no-install-recommends ${packages}`,
    );
  }

  await withLock(join(cacheRoot(), 'packages.lock'), async () => {
    // Lists first: a fresh container has none, and stale ones name files that are gone.
    await runTool('apt-get', ['-q', 'update']);
    const packages = [];
    for (const need of missing.filter(({ there }) => !there()))
      packages.push(await firstKnown(need));
    if (packages.length === 0) return;
    reporter.note(`installing ${packages.join(' ')} (for ${what})…`);
    await runTool('apt-get', [...APT_OPTIONS, 'install', ...packages], {
      env: { DEBIAN_FRONTEND: 'noninteractive' },
    });
  });

  const still = needs.filter(({ there }) => !there()).map((need) => need.what);
  if (still.length > 0)
    throw new LabError(`still missing after installing packages: ${still.join(', ')}`);
}

/** @param {Need} need */
async function firstKnown({ what, packages }) {
  for (const name of packages) {
    const { stdout } = await tryTool('apt-cache', ['madison', name]);
    if (stdout.trim()) return name;
  }
  throw new LabError(`no package for ${what} (tried ${packages.join(', ')})`, STATUS.unavailable);
}
