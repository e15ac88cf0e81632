/**
 * A reader whose bytes lie in a GPU's memory, or are to come there, with a double of libcuda
 * in a process of its own: it copies later, on another thread.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { CudaDouble, type Outcome } from './cuda/double.js';

const MiB = 2 ** 20;
const SEEDS = [1, 2, 3, 4];
const DELAY = '400';
const NOTHING = {
  contexts: 0,
  streams: 0,
  events: 0,
  modules: 0,
  pinnedBytes: 0,
  registrations: 0,
  threads: 0,
};

interface Failure {
  name: string;
  code: string | number;
  call?: string;
  message: string;
}

let double: CudaDouble;

beforeAll(() => {
  double = new CudaDouble('reader-cuda.mjs');
});

afterAll(() => {
  double[Symbol.dispose]();
});

/** Runs a scenario, which is to end well and leave nothing. */
function run(
  scenario: string,
  settings: Record<string, string> = {},
  environment: Record<string, string> = {},
): Outcome & { failures: Failure[]; failure: Failure } {
  const outcome = double.run(scenario, settings, environment);
  const { status, signal, stderr } = outcome;
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  expect(outcome.result).toMatchObject({ live: NOTHING });
  const count = (start: string): number =>
    outcome.calls.filter((call) => call.startsWith(start)).length;
  expect(count('cuMemAlloc')).toBe(count('cuMemFree, dma-buf closed'));
  expect(count('cuDevicePrimaryCtxRetain')).toBe(count('cuDevicePrimaryCtxRelease'));
  expect(count('cuStreamDestroy, busy') + count('cuEventDestroy, pending')).toBe(0);
  const failed = outcome.result as { failures: Failure[]; failure: Failure };
  return { ...outcome, failures: failed.failures, failure: failed.failure };
}

const REGISTERS = {};
const STAGES = { FAIL: 'cuMemHostRegister=801' };

describe('a stream', () => {
  it.for(SEEDS.flatMap((seed) => [REGISTERS, STAGES].map((how) => [seed, how] as const)))(
    'of fragments on a GPU and of linear ones is read in all ways at once: seed %i, %o',
    ([seed, how]) => {
      const settings = { DELAY, SEED: String(seed), ...how };
      const outcome = run('mixed', settings, { READER_SEED: String(seed) });
      expect(outcome.result).toMatchObject({ wrong: [], rest: 0, position: 2 * MiB, held: 0 });
    },
  );

  it.for([REGISTERS, STAGES])(
    'copied to host memory comes into memory of a GPU that is larger than it: %o',
    (how) => {
      const outcome = run('copied', { DELAY, ...how });
      expect(outcome.result).toMatchObject({
        total: 3 * MiB,
        whole: true,
        heldBytes: 0,
        within: true,
      });
    },
  );

  it('is answered in the order of the calls, also while an engine is being opened', () => {
    const outcome = run('order', { DELAY });
    expect(outcome.result).toMatchObject({
      texts: ['one ', 'two ', 'three ', 'four\n', 'five', ' six'],
      held: 0,
    });
  });

  it('has its fragments given back once they are copied, and not before', () => {
    expect(run('held', { DELAY: '3000' }).result).toMatchObject({ early: 0, all: true, held: 0 });
  });
});

describe('readInto()', () => {
  it('that is given up settles once the GPU is done, and leaves the rest to the next', () => {
    expect(run('aborted', { DELAY: '3000' }).result).toMatchObject({
      failure: { name: 'AbortError' },
      gathered: true,
      length: MiB,
      whole: true,
      held: 0,
    });
  });

  it('that is given up while its engine is being opened takes nothing', () => {
    const { result } = run('abortedBefore');
    expect(result).toMatchObject({ failure: { name: 'AbortError' }, text: 'stays' });
  });

  it('rejects where the socket is destroyed, once the GPU is done', () => {
    expect(run('destroyed', { DELAY: '3000' }).result).toMatchObject({
      failure: { code: 'ERR_DEVMEM_CLOSED' },
      gathered: true,
      heldBytes: 0,
    });
  });

  it('rejects where the reader is released while its engine is being opened', () => {
    expect(run('released').result).toMatchObject({ failure: { code: 'ERR_DEVMEM_READER' } });
  });

  it('rejects where its target is closed, and takes nothing more', () => {
    expect(run('closedTarget', { DELAY: '3000' }).result).toMatchObject({
      failure: { code: 'ERR_DEVMEM_CLOSED' },
      text: 'stays',
      held: 0,
    });
  });

  it('goes on where the memory that is received into is closed, and a binding needs it', () => {
    expect(run('closedSource', { DELAY }).result).toMatchObject({ length: 10_000, whole: true });
  });

  it("keeps a GPU's engine open as long as one of the memories", () => {
    expect(run('kept').result).toMatchObject({ streams: 1, modules: 1, one: 1 });
  });

  it('ends with its worker, in whatever that is doing', () => {
    const { status } = run('workers', { DELAY });
    expect(status).toBe(0);
  });
});

describe('a call that CUDA refuses', () => {
  // Once, in opening the engine: each is made there after the memories have made theirs
  it.for([
    'cuStreamCreate#1',
    'cuModuleLoadDataEx#1',
    'cuModuleGetFunction#1',
    'cuMemHostAlloc#1',
    'cuMemHostGetDevicePointer#1',
    'cuEventCreate#1',
    'cuEventCreate#9',
    'cuDevicePrimaryCtxRetain#3',
  ])('in opening the engine rejects with it, takes nothing, and is tried anew: %s', (fail) => {
    const outcome = run('unopened', { FAIL: `${fail}=2` });
    const [call] = fail.split('#');
    expect(outcome.failures).toMatchObject([
      { code: 'ERR_DEVMEM_CUDA', call },
      { code: 'ERR_DEVMEM_CUDA', call },
    ]);
    expect(outcome.result).toMatchObject({
      position: 0,
      opened: 0,
      length: 10_000,
      whole: true,
      held: 0,
    });
  });

  it.for(['cuLaunchKernel#1', 'cuEventRecord#1', 'cuEventSynchronize#1'])(
    'in copying rejects with it, and gives everything back: %s',
    (fail) => {
      const settings = { FAIL: `${fail}=2`, DELAY };
      const outcome = run('uncopied', settings);
      expect(outcome.failure).toMatchObject({ code: 'ERR_DEVMEM_CUDA', call: fail.split('#')[0] });
      expect(outcome.result).toMatchObject({ whole: true, held: 0 });
    },
  );

  // The second of the copies that it takes.
  it.for(
    ['read', 'peek', 'readUntil', 'records'].flatMap(
      (way, index) =>
        [
          [way, 'there', index],
          [way, 'to come', index],
        ] as const,
    ),
  )('in a copy to the CPU loses nothing: %s() of what is %s', ([, when, index]) => {
    const environment = {
      READER_WAY: String(index),
      ...(when === 'to come' && { READER_WAITS: '1' }),
    };
    const outcome = run('unread', { FAIL: 'cuMemcpyDtoH#2=2' }, environment);
    expect(outcome.failure).toMatchObject({ code: 'ERR_DEVMEM_CUDA', call: 'cuMemcpyDtoH' });
    expect(outcome.result).toMatchObject({ position: 0, whole: true, end: 0, held: 0 });
  });
});
