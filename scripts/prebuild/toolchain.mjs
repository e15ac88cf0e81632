// @ts-check
/**
 * How clang and lld make a target's binary on any machine, told by the variables that
 * node-gyp's Makefiles take.
 *
 * The C++ library is linked statically and its symbols stay inside: a binary needs its C
 * library alone, and does not meet the C++ library of Node.js.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { ensureHostPackages } from '../../kernel/lab/hostpackages.mjs';
import { runTool } from '../../kernel/lab/process.mjs';
import { LabError } from '../../kernel/lab/report.mjs';
import { ensureLibcxx } from './libcxx.mjs';
import { ensureSysroot } from './sysroot.mjs';

/** @typedef {{ CC: string, CXX: string, LINK: string, CXXFLAGS?: string }} Toolchain */

const EXPORTS = fileURLToPath(new URL('exports.map', import.meta.url));
const LINK = ['-fuse-ld=lld', `-Wl,--version-script=${EXPORTS}`, '-Wl,-s'];

/**
 * @param {import('./targets.mjs').Target} target
 * @param {import('../../kernel/lab/report.mjs').Reporter} reporter
 * @returns {Promise<Toolchain>} the variables
 */
export async function ensureToolchain(target, reporter) {
  await ensureHostPackages(reporter, ['archive', 'crossBuild']);
  const sysroot = await ensureSysroot(target, reporter);
  if (/\s/.test(sysroot)) {
    throw new LabError(
      `make takes no paths with spaces: set DEVMEM_TCP_CACHE to another than '${sysroot}'`,
    );
  }
  return target.libc === 'musl' ? forMusl(target, sysroot, reporter) : forGlibc(target, sysroot);
}

/**
 * @param {import('./targets.mjs').Target} target
 * @param {string} sysroot
 * @returns {Toolchain}
 */
function forGlibc({ triple }, sysroot) {
  const flags = [
    `--target=${triple}`,
    `--sysroot=${sysroot}`,
    `--gcc-toolchain=${sysroot}/usr`,
  ].join(' ');
  return {
    CC: `clang ${flags}`,
    CXX: `clang++ ${flags}`,
    // A library of its own before glibc 2.34.
    LINK: ['clang++', flags, ...LINK, '-static-libstdc++', '-static-libgcc', '-ldl'].join(' '),
  };
}

/**
 * @param {import('./targets.mjs').Target} target
 * @param {string} sysroot
 * @param {import('../../kernel/lab/report.mjs').Reporter} reporter
 * @returns {Promise<Toolchain>}
 */
async function forMusl(target, sysroot, reporter) {
  const { triple, gnu } = target;
  const own = (await runTool('clang', ['-print-resource-dir'])).trim();
  const machine = [`--target=${triple}`, `--sysroot=${sysroot}`];
  const headers = [`${sysroot}/usr/include/${triple}`, `${sysroot}/usr/include`, `${own}/include`];
  const system = ['-nostdinc', ...headers.flatMap((folder) => ['-isystem', folder])];
  const libcxx = await ensureLibcxx(target, [...machine, ...system], reporter);

  const gcc = path.join(sysroot, 'usr/lib/gcc', gnu, '10');
  const libraries = [
    ...[`${libcxx}/lib/libc++.a`, `${libcxx}/lib/libc++abi.a`, `${gcc}/libgcc.a`],
    // Of the threads' library, which libc++ asks for by name, musl has an empty one. Of its
    // C library a binary notes the name that it was found by.
    ...[`-L${sysroot}/usr/lib/${triple}`, `-L${sysroot}/lib/${triple}`, '-l:libc.so'],
  ];
  // Clang knows how to start a library of glibc's only.
  const link = [
    '-Wno-unused-command-line-argument',
    '-nostdlib',
    `${gcc}/crtbeginS.o`,
    ...libraries,
    `${gcc}/crtendS.o`,
  ];
  const cxx = ['-nostdinc++', '-isystem', `${libcxx}/include/c++/v1`];
  return {
    CC: ['clang', ...machine, ...system].join(' '),
    CXX: ['clang++', ...machine, ...cxx, ...system].join(' '),
    LINK: ['clang++', ...machine, ...LINK, ...link].join(' '),
    // Of musl's CMSG_NXTHDR().
    CXXFLAGS: '-Wno-sign-compare',
  };
}
