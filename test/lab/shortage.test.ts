/**
 * A kernel that has no memory: of each call one allocation after the other fails, and at
 * random those of the NIC. Only kernels with fault injection can do that on demand.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { writeFileSync, writeSync } from 'node:fs';
import { release } from 'node:os';
import { createInterface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';

import { bindRx, DmaBuf } from 'devmem-tcp';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { Pattern } from '../../dist/cli/transfer/pattern.js';
import {
  ADDRESS,
  type Family,
  INTERFACE,
  sendSegments,
  statistic,
  steerToQueues,
} from './support/guest.js';
import { poolsLeft, poolsLeftAfterClose } from './support/page-pools.js';
import { receiveStreams, startSender } from './support/transfer.js';

const MiB = 2 ** 20;
const BYTES = 4 * MiB;
const DIGEST = createHash('sha256').update(new Pattern(1).slice(0, BYTES)).digest('hex');
const QUEUE = 1;
/** What two queues are bound of, the first of them being that. */
const QUEUES = [QUEUE, 2];
const FAILING = fileURLToPath(new URL('support/failing.py', import.meta.url));
const PEERS = fileURLToPath(new URL('support/peers.py', import.meta.url));
/** So that the program has all its memory from the start: an allocation of its own is none of ours. */
const ENVIRONMENT = {
  PYTHONMALLOC: 'malloc',
  MALLOC_TOP_PAD_: String(64 * MiB),
  MALLOC_TRIM_THRESHOLD_: String(1024 * MiB),
  MALLOC_MMAP_THRESHOLD_: String(32 * MiB),
};

/** Whether the kernel makes a queue anew to bind or unbind it: by our patches for 6.1 it does not. */
const makesQueuesAnew = !release().startsWith('6.1.');

const DEBUGFS = '/sys/kernel/debug';
const canFail = existsSync(`${DEBUGFS}/failslab`);
if (!canFail) {
  const kernels = "'--kernel debug-6.1', debug-6.12 and debug-7";
  console.warn(`skipped: allocations that fail, which this kernel has none of. ${kernels} do`);
}

const undo: (() => void)[] = [];
afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

/** Writes to a file of the kernel, for this test. */
function set(file: string, value: string, otherwise: string): void {
  writeFileSync(file, value);
  undo.push(() => {
    writeFileSync(file, otherwise);
  });
}

beforeAll(() => steerToQueues(QUEUE, 1));

beforeEach(() => {
  for (const kind of ['failslab', 'fail_page_alloc', 'fail_usercopy']) {
    // Each failure would print a stack, which the lab takes for a complaint.
    set(`${DEBUGFS}/${kind}/verbose`, '0', '2');
  }
  set(`${DEBUGFS}/failslab/ignore-gfp-wait`, 'N', 'Y');
});

interface Report {
  failures: number;
  errors: string[];
}

interface Bound extends Report {
  /** Times that it failed when the first queue was bound already. */
  behindFirst: number;
}

interface Received {
  binding: Bound;
  bindingTwo: Bound;
  receiving: Report;
  returning: Report;
  bytes: number;
  digest: string;
}

interface Unbound extends Report {
  /** Times that the queue went back to the kernel's own memory. */
  atOnce: number;
  /** Times that it first went on with what was bound. */
  later: number;
  /** And that it did not stop to. */
  never: number;
}

/** Has failing.py do something, with a peer at the other end. */
async function doFailing<Outcome>(
  action: string,
  family: Family,
  startPeer: (host: string, port: number) => ChildProcess,
): Promise<Outcome> {
  const host = ADDRESS[family];
  const program = spawn('python3', [FAILING, action, host, INTERFACE, ...QUEUES.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...ENVIRONMENT },
  });
  let peer: ChildProcess | undefined;
  try {
    for await (const line of createInterface({ input: program.stdout })) {
      const said = JSON.parse(line) as { port?: number };
      if (said.port === undefined) return said as Outcome;
      peer = startPeer(host, said.port);
    }
    throw new Error('failing.py ended without a word');
  } finally {
    program.kill('SIGKILL');
    peer?.kill('SIGKILL');
  }
}

const sendStream = (host: string, port: number): ChildProcess =>
  startSender(host, port, BYTES, 'ignore');

const sendMessages = (host: string, port: number): ChildProcess =>
  spawn('peer', ['python3', PEERS, 'messages', host, String(port)], { stdio: 'ignore' });

/** Some calls failed, each as for want of memory. */
function expectFailures({ failures, errors }: Report): void {
  expect(failures).toBeGreaterThan(0);
  expect(errors.length).toBeGreaterThan(0);
  expect(['EAGAIN', 'EFAULT', 'EINVAL', 'ENOBUFS', 'ENOMEM']).toEqual(
    expect.arrayContaining(errors),
  );
}

async function expectWholeStream(family: Family): Promise<void> {
  const memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
  const options = { interface: INTERFACE, queues: [QUEUE], memory, mode: 'devmem' } as const;
  await using binding = await bindRx(options);
  const [received] = await receiveStreams(binding, family, BYTES);
  expect(received).toMatchObject({ firstWrong: -1, bytes: BYTES });
  expect(received!.stats.deviceBytes).toBe(BYTES);
  expect(await poolsLeftAfterClose(binding)).toBe(0);
  await memory.close();
}

/**
 * Has one allocation of this thread fail meanwhile.
 *
 * @param nth - which, from 1 on
 * @returns what the call returned, and whether there were so many
 */
function failingAt<Result>(nth: number, call: () => Result): [Result, boolean] {
  const file = openSync('/proc/thread-self/fail-nth', 'r+');
  try {
    writeSync(file, String(nth), 0);
    const result = call();
    // Both may themselves be what fails, and are then the last to.
    const left = attempt(() => readText(file));
    attempt(() => writeSync(file, '0', 0));
    return [result, left === '0\n'];
  } finally {
    closeSync(file);
  }
}

function readText(file: number): string {
  const bytes = Buffer.alloc(16);
  return bytes.toString('latin1', 0, readSync(file, bytes, 0, bytes.length, 0));
}

function attempt<Result>(call: () => Result): Result | undefined {
  try {
    return call();
  } catch {
    return undefined;
  }
}

/** The threads that do what interrupts of the NIC would. */
function threadsOfNic(): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith(`napi/${INTERFACE}-`);
    } catch {
      return false;
    }
  });
}

describe.runIf(canFail).each<Family>(['IPv4', 'IPv6'])('over %s', (family) => {
  it('whatever fails of a call fails cleanly, and can be done again', async () => {
    const { binding, bindingTwo, receiving, returning, bytes, digest } = await doFailing<Received>(
      'receiving',
      family,
      sendStream,
    );
    for (const report of [binding, bindingTwo, receiving, returning]) expectFailures(report);
    // Of the second queue as well.
    expect(binding.behindFirst).toBe(0);
    expect(bindingTwo.behindFirst > 0).toBe(makesQueuesAnew);
    expect({ bytes, digest }).toEqual({ bytes: BYTES, digest: DIGEST });
    expect(await poolsLeft()).toBe(0);
    await expectWholeStream(family);
  });

  // Where the kernel cannot give the queue memory of its own, the queue goes on with what was
  // bound, for a second by our patches (netdev_rx_queue.c netif_mp_retry).
  it('whatever fails of unbinding, the stream goes on, and the queue can be bound', async () => {
    const { failures, errors, atOnce, later, never } = await doFailing<Unbound>(
      'unbinding',
      family,
      sendMessages,
    );
    // Nobody is told of it.
    expect(errors).toEqual([]);
    expect(atOnce + later).toBe(failures + 1);
    expect(later > 0).toBe(makesQueuesAnew);
    expect(never).toBe(0);
    // As is the last, of which nothing fails.
    expect(atOnce).toBeGreaterThan(0);
    expect(await poolsLeft()).toBe(0);
    await expectWholeStream(family);
  });

  it('whatever fails of close(), no queue has the memory afterwards', async () => {
    const memory = await DmaBuf.allocate({ type: 'udmabuf', size: 8 * MiB });
    const options = { interface: INTERFACE, queues: [QUEUE], memory, mode: 'devmem' } as const;
    let [failed, lastId, madeAnew] = [true, 0, 0];
    for (let nth = 1; failed; nth++) {
      const binding = await bindRx(options);
      // The kernel counts bindings.
      if (lastId > 0 && binding.id > lastId + 1) madeAnew++;
      lastId = binding.id;
      const [closed, came] = failingAt(nth, () => binding.close());
      failed = came;
      await closed;
      expect((await binding.pagePools()).filter(({ detached }) => !detached)).toEqual([]);
    }
    expect(madeAnew > 0).toBe(makesQueuesAnew);
    await memory.close();
    expect(await poolsLeft()).toBe(0);
    await expectWholeStream(family);
  });

  it('a stream comes whole by a NIC for which every tenth allocation fails', async () => {
    // For each packet it allocates, and of super-packets there are few.
    sendSegments(true);
    undo.push(() => sendSegments(false));
    set(`/sys/class/net/${INTERFACE}/threaded`, '1', '0');
    const threads = threadsOfNic();
    expect(threads.length).toBeGreaterThan(0);
    for (const thread of threads) writeFileSync(`/proc/${thread}/make-it-fail`, '1');
    const before = statistic('rx_no_memory');
    // Its skbs it uses again and again, and of the pages of their heads it needs one for four.
    set(`${DEBUGFS}/fail_page_alloc/min-order`, '0', '1');
    for (const kind of ['failslab', 'fail_page_alloc']) {
      set(`${DEBUGFS}/${kind}/task-filter`, 'Y', 'N');
      set(`${DEBUGFS}/${kind}/times`, '-1', '1');
      set(`${DEBUGFS}/${kind}/probability`, '10', '0');
    }
    await expectWholeStream(family);
    expect(statistic('rx_no_memory')).toBeGreaterThan(before);
  });
});
