/**
 * Receiving by io_uring on a ring of the test's own, in place of the kernel's: what no NIC
 * brings about when it is wanted.
 */
import { constants } from 'node:os';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { KernelDouble } from './kernel-double.js';

const MIB = 2 ** 20;
const PAGE = 4096;
const { EPERM, ENOSYS, EEXIST, EFAULT, ENOMEM, ECANCELED } = constants.errno;
const EBADR = 53;

let double: KernelDouble;

beforeAll(() => {
  double = new KernelDouble('zcrx/kernel.c', 'zcrx-ring.mjs');
});

afterAll(() => {
  double[Symbol.dispose]();
});

/** What a scenario printed. */
const outcome = (scenario: string, ...args: number[]): Promise<unknown> =>
  double.outcome(scenario, args);

describe('a socket that is closed while the kernel takes no requests', () => {
  it('has what is under way cancelled as soon as the kernel does', async () => {
    expect(await outcome('cancels')).toEqual({ cancelled: 1 });
  });

  it('asks for nothing any more, by a descriptor that may be another’s', async () => {
    expect(await outcome('stale')).toEqual({ asked: 0 });
  });
});

it('more completions than the queue has room for come in order, and reading goes on', async () => {
  expect(await outcome('overflow')).toEqual({
    fragments: 3000,
    bytes: 3000 * PAGE,
    again: true,
    whole: true,
  });
});

describe('a refill ring that is full', () => {
  it('loses nothing, whether the kernel takes from it or refuses to', async () => {
    const rings = MIB / PAGE;
    expect(await outcome('refillFull')).toEqual({
      first: 1000,
      refused: 1000 + rings,
      errors: 1,
      whole: true,
    });
  });

  it('loses nothing at random', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    expect({ seed, ...((await outcome('refillAtRandom', seed)) as object) }).toEqual({
      seed,
      lost: 0,
      left: 0,
    });
  });
});

describe('a ring that the kernel refuses ends its sockets in words', () => {
  it.for([
    [EPERM, 'EPERM', 'seccomp filter'],
    [ENOSYS, 'ENOSYS', 'seccomp filter'],
    [EEXIST, 'EEXIST', 'the thread that made it alone'],
    [EBADR, 'EBADR', 'no memory for completions'],
  ] as const)('error %i', async ([errno, code, words]) => {
    const error = (await outcome('refused', errno)) as { message: string };
    expect(error).toMatchObject({ code, syscall: 'io_uring recv_zc' });
    expect(error.message).toContain(words);
  });
});

it.for([
  ['beyond the memory', PAGE, 16 * MIB],
  ['across its end', 2 * PAGE, 16 * MIB - PAGE],
] as const)('a fragment %s is no fragment', async ([, bytes, offset]) => {
  const error = (await outcome('untrue', bytes, offset)) as object;
  expect(error).toMatchObject({ code: 'ERR_DEVMEM_BAD_RECORD', heldBytes: 0 });
});

describe('data that is not in the area', () => {
  it.for([ENOMEM, EFAULT])('is read as usual: error %i', async (errno) => {
    expect(await outcome('unsteered', errno)).toEqual({ kinds: ['linear'], text: 'unsteered' });
  });

  it.for([ENOMEM, EFAULT])('is dropped where nobody wants it: error %i', async (errno) => {
    expect(await outcome('discarded', errno)).toEqual({ fragments: 1, held: 0 });
  });

  it('and that is nowhere else either ends its socket', async () => {
    const error = (await outcome('barren', EFAULT)) as { message: string };
    expect(error).toMatchObject({ code: 'ERR_DEVMEM_BAD_RECORD' });
    expect(error.message).toContain('steer all of them to its own');
  });
});

it('a queue that nobody closed stays the kernel’s, though JavaScript forgot it', async () => {
  expect(await outcome('forgotten')).toEqual({ told: 1 });
});

it('a receiver needs a queue that is registered, and ends with one that is closed', async () => {
  const { words, error } = (await outcome('unregistered')) as { words: string; error: number };
  expect(words).toMatch(/^TypeError: .*was never registered/);
  expect(error).toBe(-ECANCELED);
});
