// @ts-check
/**
 * What a target's binaries are compiled and linked against: headers and libraries out of
 * Debian's packages, below the cache.
 *
 *     sysroots/TARGET-HASH/
 *
 * Of glibc and of GCC's libraries those of Debian 11, since a binary needs at least the
 * glibc whose symbols it takes; of the kernel's headers newer ones, which any kernel below
 * them can do without.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';

import { PrivateApt } from '../../kernel/lab/apt.mjs';
import { cacheRoot, publishFolder, withLock } from '../../kernel/lab/cache.mjs';

const [OLD, NEW] = ['bullseye', 'bookworm'];

/** @type {Record<import('./targets.mjs').Target['libc'], Record<string, readonly string[]>>} */
const PACKAGES = {
  glibc: {
    [OLD]: [
      ...['libc6', 'libc6-dev', 'libgcc-10-dev', 'libstdc++-10-dev'],
      // With which a Node.js of that architecture runs, emulated.
      ...['libgcc-s1', 'libstdc++6'],
    ],
    [NEW]: ['linux-libc-dev'],
  },
  // Of GCC's library what any C library gets along with: how a library starts, and arithmetic.
  musl: { [OLD]: ['libgcc-10-dev'], [NEW]: ['musl', 'musl-dev', 'linux-libc-dev'] },
};

/**
 * @param {import('./targets.mjs').Target} target
 * @param {import('../../kernel/lab/report.mjs').Reporter} reporter
 * @returns {Promise<string>} its path
 * @throws {import('../../kernel/lab/report.mjs').LabError} where packages cannot be had
 */
export async function ensureSysroot(target, reporter) {
  const hash = createHash('sha256').update(JSON.stringify(PACKAGES[target.libc]));
  const name = `${target.name}-${hash.digest('hex').slice(0, 12)}`;
  const folder = path.join(cacheRoot(), 'sysroots', name);
  return withLock(`${folder}.lock`, async () => {
    if (!existsSync(folder)) {
      reporter.note(`fetching headers and libraries of ${target.name}…`);
      await publishFolder(folder, (draft) => fill(draft, target));
    }
    return folder;
  });
}

/**
 * @param {string} folder
 * @param {import('./targets.mjs').Target} target
 */
async function fill(folder, { libc, debian, gnu, triple }) {
  for (const [suite, packages] of Object.entries(PACKAGES[libc])) {
    const state = path.join(folder, '.apt');
    mkdirSync(state);
    const apt = new PrivateApt({ folder: state, suites: [suite], architecture: debian });
    await apt.update();
    await apt.unpack(packages, folder);
    rmSync(state, { recursive: true });
  }
  keepLinksInside(folder);
  if (libc === 'musl') {
    const headers = path.join(folder, 'usr/include');
    symlinkSync(`../${gnu}/asm`, path.join(headers, triple, 'asm'));
  }
}

/**
 * Links of packages begin at the root of a system, which is the host's here: a linker would
 * find nothing there, or what is none of the target's.
 *
 * @param {string} root
 */
function keepLinksInside(root) {
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue;
    const link = path.join(entry.parentPath, entry.name);
    const leads = readlinkSync(link);
    if (!path.isAbsolute(leads)) continue;
    rmSync(link);
    symlinkSync(path.relative(entry.parentPath, path.join(root, leads)), link);
  }
}
