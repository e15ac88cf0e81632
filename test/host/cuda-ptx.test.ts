/** The gather kernel as it is shipped: PTX text, in a header. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { itWhere } from '../support/conditions.js';

const FOLDER = fileURLToPath(new URL('../../src/native/gather', import.meta.url));
const PTX = path.join(FOLDER, 'gather.ptx');

/** The assembler, in PATH or where CUDA's packages put it; DEVMEM_TCP_PTXAS names another. */
const ptxas = [process.env.DEVMEM_TCP_PTXAS, '/usr/local/cuda/bin/ptxas', 'ptxas'].find(
  (each) => each !== undefined && spawnSync(each, ['--version']).status === 0,
);

/** The GPUs that the assembler knows, of those that stand for the generations. */
function architectures(): string[] {
  const help = spawnSync(ptxas!, ['--help'], { encoding: 'utf8' }).stdout;
  const wanted = ['sm_50', 'sm_60', 'sm_70', 'sm_75', 'sm_80', 'sm_90', 'sm_100', 'sm_120'];
  return wanted.filter((each) => help.includes(`'${each}'`));
}

describe('the kernel', () => {
  const text = readFileSync(PTX, 'utf8');

  it('is in the header as it is in its own file', () => {
    const header = readFileSync(path.join(FOLDER, 'cuda_gather_ptx.h'), 'utf8');
    expect(/R"ptx\(\n(.*)\)ptx"/s.exec(header)?.[1]).toBe(text);
  });

  it('is for every GPU from Maxwell on, and drivers from CUDA 9 on', () => {
    expect(text).toMatch(/^\.version 6\.0$/m);
    expect(text).toMatch(/^\.target sm_50$/m);
    expect(text).toMatch(/^\.visible \.entry devmem_gather\($/m);
  });

  it('reads and writes by 16 bytes to one, and keeps nothing in local memory', () => {
    const accesses = [...text.matchAll(/\b(ld|st)\.global\.([\w.]+)/g)];
    for (const direction of ['ld', 'st']) {
      const widths = accesses.filter((each) => each[1] === direction).map((each) => each[2]);
      expect(widths).toEqual(expect.arrayContaining(['v4.u32', 'u64', 'u32', 'u16', 'u8']));
    }
    expect(text).not.toContain('.local');
  });

  itWhere(
    ptxas !== undefined,
    'no ptxas: NVIDIA’s toolkit, or its package nvidia-cuda-nvcc, has it',
  )('is assembled by ptxas for each generation of GPUs that it knows', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'devmem-tcp-ptx-'));
    const known = architectures();
    expect(known.length).toBeGreaterThan(0);
    for (const gpu of known) {
      const output = path.join(folder, gpu);
      const { status, stderr } = spawnSync(
        ptxas!,
        ['--warning-as-error', `--gpu-name=${gpu}`, `--output-file=${output}`, PTX],
        { encoding: 'utf8' },
      );
      expect({ gpu, status, stderr }).toEqual({ gpu, status: 0, stderr: '' });
      expect(existsSync(output)).toBe(true);
    }
    rmSync(folder, { recursive: true });
  });
});
