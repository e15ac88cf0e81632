/**
 * Whoever bound a queue is killed, and just then the driver cannot give the queue buffers of
 * the kernel's. Nobody is left to look after it but the kernel, which tries again later.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer as createPlainServer } from 'node:net';
import { release } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { bindRx, DmaBuf } from 'devmem-tcp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import {
  ADDRESS,
  INTERFACE,
  run,
  setInterfaceUp,
  setParameter,
  steerToQueues,
} from './support/guest.js';
import { has, reproduce } from './support/mended.js';
import { poolsLeft } from './support/page-pools.js';
import { receiveStreams, startSender } from './support/transfer.js';

const MiB = 2 ** 20;
const BYTES = 2 * MiB;
const QUEUE = 1;
const VICTIM = fileURLToPath(new URL('support/victim.mjs', import.meta.url));
const HOSTILE = fileURLToPath(new URL('support/hostile.py', import.meta.url));
/** Where the victim finds the descriptor that it is given. */
const VICTIM_FD = 4;
const FAILURES_TO_COME = '/sys/module/devmemsim/parameters/fail_mem_alloc';
/** Longer than the kernel waits before it tries again. */
const LATER_MS = 3000;
/** For a queue to be readable, by which stream after stream breaks off until then. */
const STREAMS = 100;

const triesAgain = reproduce || has('netif_mp_retry');
if (!triesAgain) {
  console.warn(
    'skipped: unbinding that fails. This kernel warns, and leaves the queue to fill what was ' +
      'bound to it; by our patches for 6.1 it cannot fail. --kernel patched-7 and patched-6.12 try again',
  );
}

/** Zero-copy receive by io_uring binds as well, and maps the memory by itself. */
const transports = Number(release().split('.')[0]) < 7 ? ['cmsg'] : ['cmsg', 'zcrx'];

const undo: (() => void)[] = [];
afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});
beforeEach(() => {
  undo.push(steerToQueues(QUEUE, 1));
});

const hasFailed = (): boolean => readFileSync(FAILURES_TO_COME, 'utf8').trim() === '0';

/** Whatever is tried fails, until the returned function is called. */
function failAgainAndAgain(): () => void {
  const fail = (): void => {
    if (hasFailed()) writeFileSync(FAILURES_TO_COME, '1');
  };
  fail();
  const timer = setInterval(fail, 20);
  return () => {
    clearInterval(timer);
    writeFileSync(FAILURES_TO_COME, '0');
  };
}

/**
 * Has a program bind the queue, receive and be killed.
 *
 * @param memory - of its own, unless it is to be this
 * @returns once the queue could not be given up
 */
async function leaveQueueBehind(transport: string, memory?: DmaBuf): Promise<void> {
  const program = fork(VICTIM, memory ? [String(VICTIM_FD)] : [], {
    env: { ...process.env, DEVMEM_TRANSPORT: transport },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', memory?.fd ?? 'ignore'],
  });
  const exit = once(program, 'exit');
  const [{ port }] = (await once(program, 'message')) as [{ port: number }];
  const receiving = once(program, 'message');
  const sender = startSender(ADDRESS.IPv4, port, 64 * MiB, 'ignore');
  const gone = once(sender, 'exit');
  await receiving;
  undo.push(setParameter('fail_mem_alloc', 1));
  program.kill('SIGKILL');
  await Promise.all([exit, gone]);
  while (!hasFailed()) await delay(10);
}

interface Read {
  bytes: number;
  error?: string | undefined;
}

/** What a program gets of a stream that knows nothing of device memory. */
async function readPlain(): Promise<Read> {
  const server = createPlainServer();
  try {
    server.listen(0, ADDRESS.IPv4);
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const sender = startSender(ADDRESS.IPv4, port, BYTES, 'ignore');
    const gone = once(sender, 'exit');
    const [socket] = (await once(server, 'connection')) as [import('node:net').Socket];
    let bytes = 0;
    let error: string | undefined;
    socket.on('data', (data: Buffer) => (bytes += data.length));
    socket.on('error', ({ code }: NodeJS.ErrnoException) => (error = code));
    await new Promise((closed) => socket.on('close', closed));
    await gone;
    return { bytes, error };
  } finally {
    server.close();
  }
}

async function expectReadable(): Promise<void> {
  expect(await readPlain()).toEqual({ bytes: BYTES, error: undefined });
}

/** The queue can be bound, and receives into what it is bound to. */
async function expectBindable(
  whileBound = (): Promise<unknown> => Promise.resolve(),
): Promise<void> {
  await using memory = await DmaBuf.allocate({ type: 'udmabuf', size: 8 * MiB });
  const options = { interface: INTERFACE, queues: [QUEUE], memory, mode: 'devmem' } as const;
  await using binding = await bindRx(options);
  for (const next of [whileBound, () => Promise.resolve()]) {
    const [received] = await receiveStreams(binding, 'IPv4', BYTES);
    expect(received).toMatchObject({ firstWrong: -1, bytes: BYTES });
    expect(received!.stats.deviceBytes).toBe(BYTES);
    await next();
  }
}

describe.runIf(triesAgain).each(transports)('a queue that was bound for %s', (transport) => {
  it('goes on with that memory, is given up later, and can be read by others then', async () => {
    await using memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
    await leaveQueueBehind(transport, memory);
    const stopFailing = failAgainAndAgain();
    try {
      memory.write(0, Buffer.alloc(memory.size));
      expect(await readPlain()).toEqual({ bytes: 0, error: 'EFAULT' });
      // It went nowhere else.
      expect(memory.read(0, memory.size).some((byte) => byte !== 0)).toBe(true);
      // Nor may a program look for it at what comes.
      expect(JSON.parse(run('python3', HOSTILE, INTERFACE, 'xdp'))).toEqual({ outcome: 'EBUSY' });
    } finally {
      stopFailing();
    }
    const broken: Read[] = [];
    for (let read = await readPlain(); read.bytes < BYTES; read = await readPlain()) {
      broken.push(read);
      expect(broken.length).toBeLessThan(STREAMS);
    }
    for (const { error } of broken) expect(error).toBe('EFAULT');
    expect(await poolsLeft()).toBe(0);
    await expectBindable();
  });

  it('can be bound meanwhile, and stays so', async () => {
    await leaveQueueBehind(transport);
    await expectBindable(() => delay(LATER_MS));
    expect(await poolsLeft()).toBe(0);
    await expectReadable();
  });

  it('is given up when the interface goes down', async () => {
    await leaveQueueBehind(transport);
    run('ip', 'link', 'set', INTERFACE, 'down');
    expect(await poolsLeft()).toBe(0);
    setInterfaceUp();
    await expectReadable();
    await expectBindable();
  });

  it('does not hold up a NIC that is taken away', async () => {
    await leaveQueueBehind(transport);
    run('rmmod', 'devmemsim');
    expect(await poolsLeft()).toBe(0);
    run('lab-nic');
    undo.splice(0);
    undo.push(steerToQueues(QUEUE, 1));
    await expectReadable();
    await expectBindable();
  });
});
