/**
 * The CUDA engine, with a double of libcuda in a process of its own: it does what was
 * launched later, on another thread, by the descriptors that it finds then.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { CudaDouble, type Outcome } from './cuda/double.js';

const SEEDS = [1, 2, 3];
const NOTHING = {
  contexts: 0,
  streams: 0,
  events: 0,
  modules: 0,
  pinnedBytes: 0,
  registrations: 0,
  threads: 0,
};
const DELAY = '400';

interface Failure {
  name: string;
  code: string;
  call?: string;
  cudaError?: string;
  message: string;
}

let double: CudaDouble;

beforeAll(() => {
  double = new CudaDouble('cuda-gather.mjs');
});

afterAll(() => {
  double[Symbol.dispose]();
});

/** Runs a scenario, which is to end well. */
function run(scenario: string, settings: Record<string, string> = {}): Outcome {
  const outcome = double.run(scenario, settings);
  const { status, signal, stderr } = outcome;
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  return outcome;
}

/** What the double was asked to make and did not see destroyed, or saw destroyed too early. */
function left({ calls }: Outcome): Record<string, number> {
  const count = (start: string): number => calls.filter((call) => call.startsWith(start)).length;
  return {
    contexts: count('cuDevicePrimaryCtxRetain') - count('cuDevicePrimaryCtxRelease'),
    memory: count('cuMemAlloc') - count('cuMemFree, dma-buf closed'),
    pinned: count('cuMemHostAlloc') - count('cuMemFreeHost'),
    registered: count('cuMemHostRegister') - count('cuMemHostUnregister'),
    modules: count('cuModuleLoadDataEx') - count('cuModuleUnload'),
    streams: count('cuStreamCreate') - count('cuStreamDestroy'),
    busy: count('cuStreamDestroy, busy') + count('cuEventDestroy, pending'),
  };
}

const NOTHING_LEFT = {
  contexts: 0,
  memory: 0,
  pinned: 0,
  registered: 0,
  modules: 0,
  streams: 0,
  busy: 0,
};

describe('scattered bytes', () => {
  it.for([
    ['deviceToDevice', "from a GPU's memory into a GPU's", {}],
    ['hostToDevice', "from host memory that is registered into a GPU's", {}],
    [
      'hostToDevice',
      'from host memory that CUDA does not register',
      { FAIL: 'cuMemHostRegister=801' },
    ],
    ['deviceToHost', "from a GPU's memory into host memory", {}],
    [
      'deviceToHost',
      'into host memory that CUDA does not register',
      { FAIL: 'cuMemHostRegister=801' },
    ],
    ['deviceToBytes', "from a GPU's memory into a Uint8Array", {}],
    ['bytesToDevice', "of nobody's memory into a GPU's", {}],
  ] as const)('come to one place whole: %s, %s', ([scenario, , settings]) => {
    for (const seed of SEEDS) {
      process.env.GATHER_SEED = String(seed);
      const outcome = run(scenario, { DELAY, SEED: String(seed), ...settings });
      expect(outcome.result, `seed ${seed}`).toEqual({ wrong: -1, live: NOTHING });
      expect(left(outcome), `seed ${seed}`).toEqual(NOTHING_LEFT);
    }
    delete process.env.GATHER_SEED;
  });

  it('take one launch a batch; a large fragment is the work of many warps', () => {
    const { calls } = run('launches');
    expect(calls.filter((call) => call.startsWith('cuLaunchKernel'))).toEqual([
      'cuLaunchKernel, 1024 pieces',
      'cuLaunchKernel, 512 pieces',
    ]);
  });

  it('are copied in the order of the calls', () => {
    const { result } = run('order', { DELAY });
    expect(result).toEqual({ inOrder: true, last: [249], before: 5 });
  });

  it('wait for a free slot where many are asked for at once, and the event loop goes on', () => {
    const { result, calls } = run('manyAtOnce', { DELAY: '2000' });
    expect(calls.filter((call) => call.startsWith('cuLaunchKernel'))).toHaveLength(200);
    // 200 launches take a tenth of a second and more; a turn takes microseconds.
    expect((result as { turns: number }).turns).toBeGreaterThan(200);
  });

  it('are flushed to a GPU that does not order what a NIC writes, once a copy', () => {
    const { calls } = run('launches', { ATTRIBUTES: '118=0,117=1' });
    expect(calls.filter((call) => call.startsWith('cuFlush'))).toHaveLength(2);
  });

  it('are refused where they cannot be copied, and nothing else is disturbed', () => {
    const failures = run('misuse').result as Failure[];
    expect(failures.map(({ code }) => code)).toEqual([
      'ERR_OUT_OF_RANGE',
      'ERR_DEVMEM_CUDA',
      'ERR_DEVMEM_CUDA',
      'ERR_DEVMEM_WRONG_MEMORY',
      'ERR_DEVMEM_WRONG_MEMORY',
      'ERR_DEVMEM_CLOSED',
      'ERR_DEVMEM_WRONG_MEMORY',
    ]);
    expect(failures[1]!.message).toContain('does not lie inside its memory');
    expect(failures[4]!.message).toContain('on device 1');
  });

  it('do not come to a Uint8Array that was taken away meanwhile', () => {
    const { lost, whole } = run('detached', { DELAY }).result as { lost: Failure; whole: string };
    expect(lost).toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });
    expect(lost.message).toContain('"target" must be left as it is');
    expect(whole).toBe('whole');
  });

  it('keep memory that is closed meanwhile until they are copied', () => {
    const outcome = run('closedMeanwhile', { DELAY: '5000' });
    expect(outcome.result).toEqual({ text: 'hostgpu', registrations: 0, live: NOTHING });
    expect(left(outcome)).toEqual(NOTHING_LEFT);
  });
});

describe('an engine', () => {
  it('is one for all who open it on a device, until the last has closed it', () => {
    const outcome = run('shared');
    const result = outcome.result as Record<string, typeof NOTHING> & { refused: Failure };
    expect(result.open).toMatchObject({ streams: 2, modules: 2, threads: 2, events: 32 });
    expect(result.one).toEqual(result.open);
    expect(result.refused.code).toBe('ERR_DEVMEM_CLOSED');
    expect(result.reopened).toMatchObject({ streams: 1, threads: 1 });
    expect(result.live).toEqual(NOTHING);
    expect(left(outcome)).toEqual(NOTHING_LEFT);
  });

  it.for(['workers', 'workersAlone'])(
    'ends with its worker, in whatever that is doing: %s',
    { timeout: 180_000 },
    (scenario) => {
      const outcome = run(scenario, { DELAY });
      expect(outcome.result).toEqual({ live: NOTHING });
      expect(left(outcome)).toEqual(NOTHING_LEFT);
    },
  );

  it('keeps the process alive until all is copied, and no longer', () => {
    expect(run('end', { DELAY }).result).toBe('done');
  });

  it('does not hold up process.exit()', () => {
    expect(run('exit', { DELAY: '5000' }).result).toBe('exiting');
  });
});

describe('a call that CUDA refuses', () => {
  // Each of them is made by then, in opening the engine.
  it.for([
    'cuStreamCreate',
    'cuModuleLoadDataEx',
    'cuModuleGetFunction',
    'cuMemHostAlloc',
    'cuMemHostGetDevicePointer',
    'cuEventCreate',
    'cuEventCreate#9',
    'cuDevicePrimaryCtxRetain#3',
  ])('in opening an engine is told of, and leaves nothing behind: %s', (call) => {
    const outcome = run('failing', { FAIL: `${call}=2` });
    const { error, live } = outcome.result as { error: Failure; live: object };
    expect(error).toMatchObject({ code: 'ERR_DEVMEM_CUDA', cudaError: 'CUDA_ERROR_OUT_OF_MEMORY' });
    expect(error.call).toBe(call.split('#')[0]);
    expect(live).toEqual(NOTHING);
    expect(left(outcome)).toEqual(NOTHING_LEFT);
  });

  it.for(['cuLaunchKernel#1', 'cuLaunchKernel#2', 'cuMemcpyHtoDAsync#1', 'cuEventRecord#2'])(
    'in starting a copy fails that one alone: %s',
    (call) => {
      const outcome = run('failing', { FAIL: `${call}=2`, DELAY });
      const { used, live } = outcome.result as Outcomes;
      const failed = used.outcomes.filter((failure) => failure !== null);
      expect(failed.map((failure) => failure.call)).toEqual([call.split('#')[0]]);
      expect(used.right).toBe(true);
      expect(live).toEqual(NOTHING);
      expect(left(outcome)).toEqual(NOTHING_LEFT);
    },
  );

  it('in waiting fails all copies, since nobody knows which are done', () => {
    const outcome = run('failing', { FAIL: 'cuEventSynchronize#2=2', DELAY });
    const { used, live } = outcome.result as Outcomes;
    expect(used.outcomes.map((failure) => failure?.call)).toEqual([
      undefined,
      'cuEventSynchronize',
      'cuEventSynchronize',
    ]);
    expect(used.right).toBe(true);
    expect(live).toEqual(NOTHING);
    expect(left(outcome)).toEqual(NOTHING_LEFT);
  });

  it.for(['cuMemHostRegister=2', 'cuMemHostGetDevicePointer#2=2', 'cuDevicePrimaryCtxRetain#4=2'])(
    'in registering host memory has the CPU copy instead: %s',
    (fail) => {
      const outcome = run('failing', { FAIL: fail });
      const { used, live } = outcome.result as Outcomes;
      expect(used).toEqual({ outcomes: [null, null, null], right: true });
      expect(live).toEqual(NOTHING);
      expect(left(outcome)).toEqual(NOTHING_LEFT);
    },
  );

  // Whichever one it is: the engine makes many.
  it('in making its context current leaves nothing behind', { timeout: 180_000 }, () => {
    for (let which = 1; which <= 30; which++) {
      const outcome = double.run('failing', { FAIL: `cuCtxSetCurrent#${which}=2` });
      expect(outcome, `call ${which}`).toMatchObject({ status: 0, stderr: '' });
      expect((outcome.result as Outcomes).live, `call ${which}`).toEqual(NOTHING);
    }
  });
});

describe('an error of the GPU', () => {
  it('fails each copy that is not done, in order and once, and all that follow', () => {
    const outcome = run('fault', { FAULT: '20', DELAY });
    const result = outcome.result as {
      failures: (Failure | null)[];
      after: Failure[];
      live: object;
    };
    const failed = result.failures.map((failure) => failure?.cudaError ?? 'done');
    const first = failed.indexOf('CUDA_ERROR_ILLEGAL_ADDRESS');
    // By the time that a copy is found done, the GPU may have met the error in a later one.
    expect(first).toBeLessThanOrEqual(19);
    expect(new Set(failed.slice(first))).toEqual(new Set(['CUDA_ERROR_ILLEGAL_ADDRESS']));
    expect(result.after.map(({ cudaError }) => cudaError)).toEqual([
      'CUDA_ERROR_ILLEGAL_ADDRESS',
      'CUDA_ERROR_ILLEGAL_ADDRESS',
    ]);
    expect(result.after[0]!.message).toContain('end it');
    expect(result.live).toEqual(NOTHING);
    expect(left(outcome)).toEqual(NOTHING_LEFT);
  });
});

interface Outcomes {
  used: { outcomes: (Failure | null)[]; right: boolean };
  live: object;
}
