/** `npm run check:gpu`, as far as a machine without a GPU can show it. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { probeMemory } from 'devmem-tcp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { itWhere } from '../support/conditions.js';
import { CudaDouble } from './cuda/double.js';

const SCRIPT = fileURLToPath(new URL('../../scripts/check-gpu.mjs', import.meta.url));
const FEW = ['--largest', '1', '--workers', '2'];

const hasGpu = (await probeMemory()).some((probe) => probe.type === 'cuda' && probe.available);

let double: CudaDouble;

beforeAll(() => {
  double = new CudaDouble();
});

afterAll(() => {
  double[Symbol.dispose]();
});

function check(env: Record<string, string>, options: string[] = FEW) {
  const line = [SCRIPT, ...options];
  return spawnSync(process.execPath, line, { encoding: 'utf8', env: { ...process.env, ...env } });
}

describe('check:gpu', () => {
  it('checks bytes, ends and speed', () => {
    const { status, stdout, stderr } = check(double.environment);
    expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('ok     unaligned fragments of 1448 bytes, 1 MiB');
    expect(stdout).toContain("ok     scenario 'workers'");
    expect(stdout).toContain('ok     tensors in another process');
    expect(stdout).toMatch(/fragments of 65536 bytes: [\d.]+ GB\/s; cuMemcpyDtoD [\d.]+ GB\/s/);
    expect(stdout).not.toContain('FAILED');
  });

  it('fails where the GPU does', () => {
    const { status, stderr } = check({ ...double.environment, DOUBLE_FAULT: '3' });
    expect(status).toBe(1);
    expect(stderr).toContain('CUDA_ERROR_ILLEGAL_ADDRESS');
  });

  it('says that a device is missing, by a status of its own', () => {
    const { status, stderr } = check(double.environment, ['--device', '7']);
    expect(status).toBe(69);
    expect(stderr).toContain('nothing was checked: there is no device 7');
  });

  itWhere(!hasGpu, 'this machine has a GPU')('says what is missing without a GPU', () => {
    const { status, stderr } = check({});
    expect(status).toBe(69);
    expect(stderr).toContain('no GPU to check, nothing was checked: ');
  });
});
