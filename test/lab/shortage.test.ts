/**
 * A kernel that has no memory: of each call one allocation after the other fails, and at
 * random those of the NIC. Only kernels with fault injection can do that on demand.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
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
const FAILING = fileURLToPath(new URL('support/failing.py', import.meta.url));
/** So that the program has all its memory from the start: an allocation of its own is none of ours. */
const ENVIRONMENT = {
  PYTHONMALLOC: 'malloc',
  MALLOC_TOP_PAD_: String(64 * MiB),
  MALLOC_TRIM_THRESHOLD_: String(1024 * MiB),
  MALLOC_MMAP_THRESHOLD_: String(32 * MiB),
};

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

interface Outcome {
  binding: Report;
  receiving: Report;
  returning: Report;
  bytes: number;
  digest: string;
}

/** Runs failing.py with a sender at the other end. */
async function receiveFailing(family: Family): Promise<Outcome> {
  const host = ADDRESS[family];
  const program = spawn('python3', [FAILING, host, INTERFACE, String(QUEUE)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...ENVIRONMENT },
  });
  let sender: ChildProcess | undefined;
  try {
    for await (const line of createInterface({ input: program.stdout })) {
      const said = JSON.parse(line) as { port?: number } & Outcome;
      if (said.port === undefined) return said;
      sender = startSender(host, said.port, BYTES, 'ignore');
    }
    throw new Error('failing.py ended without a word');
  } finally {
    program.kill('SIGKILL');
    sender?.kill('SIGKILL');
  }
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
    const { binding, receiving, returning, bytes, digest } = await receiveFailing(family);
    for (const { failures } of [binding, receiving, returning]) expect(failures).toBeGreaterThan(0);
    const refusals = ['EAGAIN', 'EFAULT', 'EINVAL', 'ENOBUFS', 'ENOMEM'];
    for (const { errors } of [binding, receiving, returning]) {
      expect(errors.length).toBeGreaterThan(0);
      expect(refusals).toEqual(expect.arrayContaining(errors));
    }
    expect({ bytes, digest }).toEqual({ bytes: BYTES, digest: DIGEST });
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
