// @ts-check
/**
 * What binaries are made for. One serves all versions of Node.js (Node-API), so a target
 * is an architecture and a C library.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';

/**
 * @typedef {object} Target
 * @property {string} name      as in `--target linux-arm64-musl`
 * @property {'x64' | 'arm64'} arch Node's name
 * @property {'glibc' | 'musl'} libc as node-gyp-build tells them apart
 * @property {string} debian    Debian's name of the architecture
 * @property {string} gnu       Debian's folder of the architecture's libraries
 * @property {string} triple    what clang compiles for
 */

/** @type {readonly Omit<Target, 'name' | 'libc' | 'triple'>[]} */
const ARCHITECTURES = [
  { arch: 'x64', debian: 'amd64', gnu: 'x86_64-linux-gnu' },
  { arch: 'arm64', debian: 'arm64', gnu: 'aarch64-linux-gnu' },
];

/** @type {readonly Target['libc'][]} */
const LIBRARIES = ['glibc', 'musl'];

/** @type {readonly Target[]} */
export const TARGETS = Object.freeze(
  ARCHITECTURES.flatMap((architecture) =>
    LIBRARIES.map((libc) => ({
      ...architecture,
      libc,
      name: `linux-${architecture.arch}-${libc}`,
      triple: libc === 'musl' ? architecture.gnu.replace(/gnu$/, 'musl') : architecture.gnu,
    })),
  ),
);

/** @returns {Target | undefined} what this process runs on */
export function hostTarget() {
  const { header } = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (
    process.report.getReport()
  );
  const libc = header.glibcVersionRuntime === undefined ? 'musl' : 'glibc';
  return TARGETS.find((target) => target.arch === process.arch && target.libc === libc);
}

/** Of the binary, below the project's root. @param {Target} target */
export const prebuildOf = ({ arch, libc }) => `prebuilds/linux-${arch}/devmem-tcp.${libc}.node`;

/** Node's headers where they came with this Node; else node-gyp downloads them. */
export function headers() {
  const prefix = path.resolve(process.execPath, '../..');
  const shipped = existsSync(path.join(prefix, 'include', 'node', 'node_api.h'));
  return shipped ? { npm_config_nodedir: prefix } : {};
}
