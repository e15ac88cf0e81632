/**
 * Giving fragments back by a token queue, to a kernel of the test's own: what no NIC brings
 * about when it is wanted.
 */
import { constants } from 'node:os';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { KernelDouble } from './kernel-double.js';

const { EPERM, ENOMEM, ENOPROTOOPT, EMFILE, EISCONN, EEXIST, EXDEV, EINVAL, EOPNOTSUPP, EBADMSG } =
  constants.errno;
/** Of calls that the kernel can refuse, as in queue/kernel.c. */
const [CREATE, FLUSH] = [0, 2];
/** What can be false of an entry, as there. */
const [PRODUCED, COOKIE, OFFSET, SIZE, DMABUF] = [1, 2, 3, 4, 5];
/** Where a count of 32 bits is about to wrap. */
const NEAR_WRAP = 2 ** 32 - 100;

let double: KernelDouble;

beforeAll(() => {
  double = new KernelDouble('queue/kernel.c', 'token-queue.mjs');
});

afterAll(() => {
  double[Symbol.dispose]();
});

/** What a scenario printed. */
const outcome = (
  scenario: string,
  args?: readonly number[],
  env?: Record<string, string>,
): Promise<unknown> => double.outcome(scenario, args, env);

const NOTHING_CALLED = { flushes: 0, dontneeds: 0, returnCalls: 0, left: 0, unknown: 0 };

it('no call gives back what is released while there is more to read', async () => {
  expect(await outcome('steady')).toEqual({ ...NOTHING_CALLED, records: 0 });
});

it('control messages tell of fragments where the queue has no ring for that', async () => {
  const result = await outcome('steady', [], { QUEUE_FRAGMENTS: 'no' });
  expect(result).toEqual({ ...NOTHING_CALLED, records: 50_000 });
});

it('one call gives back what sockets released after all was read, before the loop sleeps', async () => {
  const result = (await outcome('late')) as { before: number; flushes: number; calls: number[] };
  expect(result).toMatchObject({ dontneeds: 0, held: [0, 0, 0] });
  expect(result.flushes - result.before).toBe(1);
  expect(result.calls).toEqual([0, 0, 1]);
});

it('much of the memory does not wait for the next read', async () => {
  expect(await outcome('much')).toEqual({ flushes: 1, held: 1 });
});

describe('a ring that is full', () => {
  it('is flushed', async () => {
    expect(await outcome('full')).toEqual({
      flushed: true,
      called: false,
      unknown: 0,
      invalid: 0,
      whole: true,
    });
  });

  it('is not waited for where the kernel refuses: the rest goes back by calls', async () => {
    const result = await outcome('full', [EPERM]);
    expect(result).toEqual({ flushed: true, called: true, unknown: 0, invalid: 0, whole: true });
  });
});

describe('a queue that is refused', () => {
  it.for([
    [CREATE, ENOPROTOOPT],
    [CREATE, EMFILE],
    [FLUSH, EPERM],
  ] as const)('call %i: error %i', async ([call, errno]) => {
    const result = await outcome('refusedQueue', [call, errno]);
    expect(result).toEqual({ first: -errno, second: 0, third: -EINVAL });
  });
});

describe('a queue that is refused says why, and what to do', () => {
  it.for([
    [
      CREATE,
      ENOPROTOOPT,
      'ENOPROTOOPT',
      /has no token queue.*linux-6\.12-token-queue.*linux-7-token-queue.*'cmsg'/,
    ],
    [CREATE, EOPNOTSUPP, 'ENOTSUP', /another version.*'cmsg'/],
    [FLUSH, EPERM, 'EPERM', /seccomp filter.*DEVMEM_QUEUE_FLUSH.*'cmsg'/],
    [CREATE, EMFILE, 'EMFILE', /too many open files/],
  ] as const)('call %i: error %i', async ([call, errno, code, words]) => {
    const told = (await outcome('refusedInWords', [call, errno])) as { message: string };
    expect(told).toMatchObject({ code });
    expect(told.message).toMatch(words);
  });

  it('of another version', async () => {
    const told = await outcome('refusedInWords', [], { QUEUE_VERSION: '2' });
    expect(told).toMatchObject({ code: 'ENOTSUP' });
  });
});

describe('a socket that cannot be attached', () => {
  it('is taken over from who has left it attached', async () => {
    const result = await outcome('refusedSocket', [EISCONN, 1]);
    expect(result).toEqual({ queued: true, fragments: 10, dontneeds: 0 });
  });

  it('has another cookie where its own is in use', async () => {
    const result = await outcome('refusedSocket', [EEXIST, 3]);
    expect(result).toEqual({ queued: true, fragments: 10, dontneeds: 0 });
  });

  it.for([
    [EISCONN, 2],
    [EEXIST, 1000],
    [EXDEV, 1],
    [ENOMEM, 1],
  ] as const)('does without: error %i, %i times', async ([errno, times]) => {
    const result = await outcome('refusedSocket', [errno, times]);
    expect(result).toEqual({ queued: false, fragments: 1, dontneeds: 0 });
  });
});

it.for([1, 4096, 5000, 2 ** 31, 2 ** 32 - 1])(
  'a count that the kernel cannot have come to loses nothing: %i',
  async (value) => {
    // The kernel has read none so far.
    const result = await outcome('scribbled', [value]);
    expect(result).toEqual({ unknown: 0, invalid: 0 });
  },
);

describe('an entry that tells of a fragment, and was written by somebody else', () => {
  const ENDED = { errors: [-EBADMSG], kept: 0, held: 0, other: { errors: [], kept: 20 } };

  it.for([
    ['lies beyond the memory', OFFSET, 2 ** 31],
    ['lies across its end', OFFSET, 2 ** 26 - 1],
    ['is empty', SIZE, 0],
    ['is longer than what was received', SIZE, 8192],
    ['is of another memory', DMABUF, 2],
    ['is of no memory, as linear bytes are', DMABUF, 0],
    ['is of none, as what was released', DMABUF, 2 ** 32 - 1],
  ] as const)('ends its socket alone where it %s', async ([, what, value]) => {
    expect(await outcome('falsified', [what, value])).toEqual(ENDED);
  });

  // Which fragments those are, nothing tells: they come back with the socket.
  it.for([1024, 2 ** 31, 2 ** 32 - 2])(
    'ends its socket where there are %i more than there can be',
    async (beyond) => {
      expect(await outcome('falsified', [PRODUCED, beyond])).toMatchObject({
        ...{ errors: [-EBADMSG], kept: 0, other: { errors: [], kept: 20 } },
      });
    },
  );

  it('ends both sockets where it is of the other', async () => {
    const result = await outcome('falsified', [COOKIE, 2]);
    expect(result).toMatchObject({ errors: [-EBADMSG], kept: 0 });
    expect(result).toMatchObject({ other: { errors: [-EBADMSG] } });
  });
});

it('sockets go on without a queue that was closed', async () => {
  expect(await outcome('closed')).toEqual({ held: 0, dontneeds: 1 });
});

it('a socket leaves the queue with its last fragment', async () => {
  const left = { attached: 0, held: 0, unknown: 0 };
  expect(await outcome('ends')).toEqual({ attached: 1, held: 1, left });
});

it('a thread that is ended in the midst of giving back leaves without a word', async () => {
  expect(await outcome('worker')).toEqual({ status: 1 });
});

describe.each([
  ['by both rings', {}],
  ['with counts that wrap', { QUEUE_START: String(NEAR_WRAP) }],
  ['by one ring', { QUEUE_FRAGMENTS: 'no' }],
])('at random, %s', (_, env) => {
  it('what is given back comes back once', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const result = await outcome('atRandom', [seed], env);
    expect({ seed, ...(result as object) }).toEqual({
      seed,
      left: 0,
      unknown: 0,
      invalid: 0,
      byRing: true,
      attached: true,
    });
  });
});
