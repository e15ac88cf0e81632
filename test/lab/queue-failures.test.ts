/** A driver that cannot give a queue its memory, stop it or start it; rings that are filled at once. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { type Binding, bindRx, DmaBuf, type SystemError } from 'devmem-tcp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { getRings } from '../../dist/nic/netlink/ethtool.js';
import { NetdevNetlink } from '../../dist/nic/netlink/netdev.js';
import { findNic } from '../../dist/nic/devices.js';
import { INTERFACE, run, setParameter, steerToQueues } from './support/guest.js';
import { poolsLeft, poolsLeftAfterClose } from './support/page-pools.js';
import { receiveStreams } from './support/transfer.js';

const MiB = 2 ** 20;
const PAGE = 4096;
const BYTES = 2 * MiB;
const RING = 512;
/** Traffic comes to the first. */
const QUEUES = [1, 2];
const RAW_BIND = fileURLToPath(new URL('support/raw_bind.py', import.meta.url));

let memory: DmaBuf;

beforeAll(async () => {
  memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
  return steerToQueues(QUEUES[0]!, 1);
});
afterAll(() => memory.close());

const undo: (() => void)[] = [];
afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

const set = (name: string, value: number): void => {
  undo.push(setParameter(name, value));
};

const bind = (queues: readonly number[] = QUEUES): Promise<Binding> =>
  bindRx({ interface: INTERFACE, queues, memory, mode: 'devmem' });

async function refusal(): Promise<SystemError> {
  const binding = await bind().catch((error: unknown) => error as SystemError);
  if (binding instanceof Error) return binding;
  await binding.close();
  throw new Error('bindRx() succeeded');
}

/** Queues of the interface that are bound, by the kernel's word. */
async function boundQueues(): Promise<number[]> {
  const { index } = await findNic(INTERFACE);
  using netdev = await NetdevNetlink.open();
  const queues = await netdev.rxQueues(index);
  return queues.filter(({ dmabufId }) => dmabufId !== undefined).map(({ id }) => id);
}

/** A stream comes whole: into host memory where nothing is bound, else into the binding's. */
async function expectStream(binding: Binding): Promise<void> {
  const [received] = await receiveStreams(binding, 'IPv4', BYTES);
  expect(received).toMatchObject({ firstWrong: -1, bytes: BYTES });
}

async function expectReadableStream(): Promise<void> {
  await using host = await DmaBuf.allocate({ type: 'host', size: 4 * MiB });
  const options = { interface: INTERFACE, queues: QUEUES, memory: host, mode: 'copy' } as const;
  await using binding = await bindRx(options);
  await expectStream(binding);
}

const FAILURES = [
  ['memory for', 'fail_mem_alloc', 'ENOMEM', 'no memory to restart the queues'],
  ['a stop of', 'fail_stop', 'EIO', 'could not stop or start a queue'],
  ['a start of', 'fail_start', 'EIO', 'could not stop or start a queue'],
] as const;

describe.each(FAILURES)('where %s a queue fails', (_what, parameter, code, words) => {
  it.each([
    ['the first', 1],
    ['the second', 2],
  ])('the binding is refused in words, and all is as before: %s', async (_which, nth) => {
    set(parameter, nth);
    const error = await refusal();
    expect(error).toMatchObject({ code, syscall: 'netdev bind-rx' });
    expect(error.message).toContain(words);
    expect(await boundQueues()).toEqual([]);
    expect(await poolsLeft()).toBe(0);
    await expectReadableStream();

    const binding = await bind();
    expect(await boundQueues()).toEqual(QUEUES);
    await expectStream(binding);
    expect(await poolsLeftAfterClose(binding)).toBe(0);
  });
});

describe('a NIC that fills its rings in advance', () => {
  it('receives a stream, and leaves nothing behind', async () => {
    set('prefill', 1);
    const binding = await bind();
    await expectStream(binding);
    expect(await poolsLeftAfterClose(binding)).toBe(0);
    await expectReadableStream();
  });

  it('needs more memory than the rings hold: refused before the kernel has to', async () => {
    set('prefill', 1);
    await using small = await DmaBuf.allocate({ type: 'udmabuf', size: RING * PAGE });
    const options = { interface: INTERFACE, queues: [1], memory: small, mode: 'devmem' } as const;
    const error: unknown = await bindRx(options).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'ERR_DEVMEM_MEMORY_TOO_SMALL' });
  });

  it('has the kernel refuse it all the same, and goes on as before', async () => {
    set('prefill', 1);
    const small = String((RING - 1) * PAGE);
    const said = spawnSync('python3', [RAW_BIND, INTERFACE, '1', small], { encoding: 'utf8' });
    expect(said).toMatchObject({ stdout: 'ENOMEM\n', status: 0 });
    expect(await boundQueues()).toEqual([]);
    await expectReadableStream();
  });

  it('keeps its rings where larger ones could not be filled', async () => {
    set('prefill', 1);
    const binding = await bind();
    const larger = String((16 * MiB) / PAGE);
    expect(() => run('ethtool', '-G', INTERFACE, 'rx', larger)).toThrow(/Cannot allocate memory/);
    expect(await getRings(INTERFACE)).toMatchObject({ rx: RING });
    await expectStream(binding);
    expect(await poolsLeftAfterClose(binding)).toBe(0);
  });
});
