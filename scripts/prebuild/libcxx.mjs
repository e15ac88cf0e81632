// @ts-check
/**
 * LLVM's C++ library for musl, built from Debian's source: of C++ libraries for musl Debian
 * has none.
 *
 *     libcxx/TARGET-HASH/{include/c++/v1,lib}
 *
 * Without exceptions, which the addon does not throw, and without locales and files, which
 * it takes from elsewhere. Its symbols stay inside: Node.js brings a C++ library of its own.
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { PrivateApt } from '../../kernel/lab/apt.mjs';
import { cacheRoot, publishFolder, withLock } from '../../kernel/lab/cache.mjs';
import { ensureHostPackages } from '../../kernel/lab/hostpackages.mjs';
import { runTool } from '../../kernel/lab/process.mjs';

const SUITE = 'bookworm';
const SOURCE = 'llvm-toolchain-14';
const PARTS = ['cmake', 'libcxx', 'libcxxabi', 'libunwind/include', 'llvm/cmake', 'runtimes'];
const LIBRARIES = ['libc++.a', 'libc++abi.a'];

const OPTIONS = {
  CMAKE_BUILD_TYPE: 'Release',
  CMAKE_SYSTEM_NAME: 'Linux',
  CMAKE_C_COMPILER: 'clang',
  CMAKE_CXX_COMPILER: 'clang++',
  CMAKE_POSITION_INDEPENDENT_CODE: 'ON',
  // There is nothing yet that a program could be linked with.
  CMAKE_TRY_COMPILE_TARGET_TYPE: 'STATIC_LIBRARY',
  LLVM_ENABLE_RUNTIMES: 'libcxx;libcxxabi',
  LLVM_INCLUDE_TESTS: 'OFF',
  LIBCXX_HAS_MUSL_LIBC: 'ON',
  LIBCXX_ENABLE_EXCEPTIONS: 'OFF',
  LIBCXX_ENABLE_EXPERIMENTAL_LIBRARY: 'OFF',
  LIBCXX_ENABLE_FILESYSTEM: 'OFF',
  LIBCXX_ENABLE_LOCALIZATION: 'OFF',
  LIBCXX_ENABLE_SHARED: 'OFF',
  LIBCXX_HERMETIC_STATIC_LIBRARY: 'ON',
  LIBCXX_INCLUDE_BENCHMARKS: 'OFF',
  LIBCXX_INCLUDE_TESTS: 'OFF',
  LIBCXXABI_ENABLE_EXCEPTIONS: 'OFF',
  LIBCXXABI_ENABLE_SHARED: 'OFF',
  LIBCXXABI_HERMETIC_STATIC_LIBRARY: 'ON',
  LIBCXXABI_INCLUDE_TESTS: 'OFF',
  LIBCXXABI_USE_LLVM_UNWINDER: 'OFF',
};

/**
 * @param {import('./targets.mjs').Target} target
 * @param {readonly string[]} flags for the C library's headers
 * @param {import('../../kernel/lab/report.mjs').Reporter} reporter
 * @returns {Promise<string>} its folder
 */
export async function ensureLibcxx(target, flags, reporter) {
  const recipe = readFileSync(fileURLToPath(import.meta.url));
  const hash = createHash('sha256').update(recipe).update(flags.join(' ')).digest('hex');
  const folder = path.join(cacheRoot(), 'libcxx', `${target.name}-${hash.slice(0, 12)}`);
  return withLock(`${folder}.lock`, async () => {
    if (!existsSync(folder)) {
      await ensureHostPackages(reporter, ['libcxxBuild']);
      reporter.note(`building the C++ library of ${target.name} (downloads 130 MB)…`);
      await publishFolder(folder, (draft) => build(draft, target, flags));
    }
    return folder;
  });
}

/**
 * @param {string} folder
 * @param {import('./targets.mjs').Target} target
 * @param {readonly string[]} flags
 */
async function build(folder, { triple }, flags) {
  const work = path.join(folder, '.work');
  const [source, output] = [path.join(work, 'source'), path.join(work, 'output')];
  mkdirSync(source, { recursive: true });
  await unpackSource(work, source);
  const options = Object.entries({
    ...OPTIONS,
    CMAKE_C_COMPILER_TARGET: triple,
    CMAKE_CXX_COMPILER_TARGET: triple,
    CMAKE_C_FLAGS: flags.join(' '),
    CMAKE_CXX_FLAGS: flags.join(' '),
  }).map(([name, value]) => `-D${name}=${value}`);
  await runTool('cmake', ['-G', 'Ninja', '-S', `${source}/runtimes`, '-B', output, ...options]);
  await runTool('ninja', ['-C', output, 'cxx', 'cxxabi']);

  cpSync(path.join(output, 'include'), path.join(folder, 'include'), { recursive: true });
  for (const library of LIBRARIES) {
    cpSync(path.join(output, 'lib', library), path.join(folder, 'lib', library));
  }
  rmSync(work, { recursive: true });
}

/**
 * @param {string} work
 * @param {string} into
 */
async function unpackSource(work, into) {
  const state = path.join(work, 'apt');
  mkdirSync(state);
  const place = { folder: state, suites: [SUITE], architecture: 'amd64' };
  const apt = new PrivateApt({ ...place, type: 'deb-src' });
  await apt.update();
  const archive = await apt.source(SOURCE, work);
  const parts = PARTS.map((part) => `*/${part}`);
  await runTool('tar', [
    ...['-xf', archive, '-C', into, '--strip-components=1'],
    ...['--wildcards', '--no-wildcards-match-slash'],
    ...parts,
  ]);
}
