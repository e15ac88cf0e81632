// @ts-check
// `node scripts/ptx.mjs`: compiles the gather kernel (src/native/gather/gather.cu) to PTX
// and embeds it in a header, both of which are committed: building the addon takes no
// compiler for GPUs. CLANG names another clang than the one in PATH.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('../src/native/gather', import.meta.url)));

const PTX = 'gather.ptx';
const HEADER = 'cuda_gather_ptx.h';

function compile() {
  const line = [
    ...['-x', 'cuda', '--cuda-device-only', '--cuda-gpu-arch=sm_50'],
    ...['-Xclang', '-target-feature', '-Xclang', '+ptx60'],
    // No CUDA need be installed, and its version does not matter.
    ...['-nocudainc', '-nocudalib', '-Wno-unknown-cuda-version'],
    ...['-std=c++20', '-O3', '-fno-unroll-loops', '-Wall', '-Wextra', '-Werror'],
    ...['-S', '-o', PTX, 'gather.cu'],
  ];
  const clang = process.env.CLANG ?? 'clang';
  const { status, error } = spawnSync(clang, line, { stdio: 'inherit' });
  if (status === 0) return;
  const why = error === undefined ? '' : `: ${error.message}`;
  throw new Error(`'${clang} ${line.join(' ')}' failed${why}. Install clang 14 or newer`);
}

compile();
writeFileSync(
  HEADER,
  `// gather.ptx, for the driver to compile. Made by scripts/ptx.mjs: do not edit.
#pragma once

namespace devmem {

constexpr char kGatherPtx[] = R"ptx(
${readFileSync(PTX, 'utf8')})ptx";

}  // namespace devmem
`,
);
