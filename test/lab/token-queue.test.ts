/**
 * Queues of tokens that the kernel shares with user space, of kernel/patches/linux-7-token-queue
 * and linux-6.12-token-queue: streams come whole through them. What becomes of nonsense in
 * them, token-scribbler tests.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';

import { beforeAll, describe, expect, it } from 'vitest';

import { Pattern } from '../../dist/cli/transfer/pattern.js';
import { bindForEachTest } from './support/bound.js';
import { ADDRESS, type Family, sendSegments, setParameter, streamBytes } from './support/guest.js';
import { hasTokenQueue } from './support/mended.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { compilePrograms } from './support/queue/programs.js';
import { startSender } from './support/transfer.js';

const MiB = 2 ** 20;
const BYTES = streamBytes(4 * MiB, 4);
/** What startSender sends. */
const pattern = new Pattern(1);

if (!hasTokenQueue) {
  console.warn(
    "skipped: queues of tokens, which this kernel has none of. '--kernel queue-7' and queue-6.12 have",
  );
}

const bound = bindForEachTest([1]);
let receiver: string;

/** What receiver.c says in the end. */
interface Outcome {
  bytes: number;
  fragments: number;
  records: number;
  receiveCalls: number;
  returnCalls: number;
  flushes: number;
  tooSmall: number;
  bad: number;
  mixed: number;
  returned: number;
  invalid: number;
  unknown: number;
  full: number;
  left: number;
}

/** Runs receiver.c with as many senders at the other end; what it says, and its streams. */
async function runReceiver(
  args: readonly string[],
  host: string,
  senders: number,
): Promise<{ outcome?: Outcome; streams: Buffer[]; status: number | null }> {
  const { fd } = bound.memory;
  const program = spawn(receiver, [host, ...args], {
    stdio: ['ignore', 'inherit', 'inherit', fd, 'pipe', 'pipe', 'pipe'],
  });
  const exited = once(program, 'exit');
  const streams = program.stdio.slice(5) as Readable[];
  const written = Promise.all(streams.map((stream) => buffer(stream)));
  const started = [];
  let outcome: Outcome | undefined;
  try {
    for await (const line of createInterface({ input: program.stdio[4] as Readable })) {
      const said = JSON.parse(line) as { port?: number; outcome?: Outcome };
      outcome = said.outcome;
      for (let i = 0; said.port !== undefined && i < senders; i++) {
        started.push(startSender(host, said.port, BYTES, 'ignore'));
      }
    }
    const [status] = (await exited) as [number | null];
    return { ...(outcome && { outcome }), streams: await written, status };
  } finally {
    program.kill('SIGKILL');
    for (const sender of started) sender.kill('SIGKILL');
  }
}

/** Receives in one of the ways of receiver.c. Each stream has to be whole. */
async function receive(way: string, family: Family, senders = 1): Promise<Outcome> {
  const args = [way, String(BYTES / 2)];
  const { outcome, streams, status } = await runReceiver(args, ADDRESS[family], senders);
  expect(status).toBe(0);
  for (const stream of streams.slice(0, senders)) {
    expect(stream.length).toBe(BYTES);
    expect(pattern.mismatch(0, stream)).toBe(-1);
  }
  expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
  return outcome!;
}

describe.runIf(hasTokenQueue).each<Family>(['IPv4', 'IPv6'])('over %s', (family) => {
  beforeAll(() => {
    ({ receiver } = compilePrograms('receiver'));
  });

  it('no system call gives fragments back, no control message tells of them', async () => {
    const outcome = await receive('rings', family);
    expect(outcome).toMatchObject({ records: 0, returnCalls: 0, flushes: 0, tooSmall: 0 });
    expect(outcome).toMatchObject({ invalid: 0, unknown: 0, full: 0, bytes: BYTES });
    expect(outcome.fragments).toBeGreaterThan(0);
    expect(outcome.returned).toBe(outcome.fragments);
  });

  it('so it is with small fragments', async () => {
    sendSegments(true);
    try {
      const { returned, fragments, returnCalls, flushes } = await receive('rings', family);
      expect({ returned, returnCalls, flushes }).toEqual({
        returned: fragments,
        returnCalls: 0,
        flushes: 0,
      });
      expect(fragments).toBeGreaterThan(BYTES / 1500);
    } finally {
      sendSegments(false);
    }
  });

  it('fragments that control messages tell of come back by a ring, too', async () => {
    const outcome = await receive('returns', family);
    expect(outcome).toMatchObject({ records: outcome.fragments, returnCalls: 0, flushes: 0 });
    expect(outcome.returned).toBe(outcome.fragments);
  });

  it('SO_DEVMEM_DONTNEED goes on working on a socket that has a queue', async () => {
    const outcome = await receive('dontneed', family);
    expect(outcome).toMatchObject({ returnCalls: outcome.fragments, returned: 0, invalid: 0 });
  });

  it('bytes that did not reach device memory have their place in the ring', async () => {
    const restore = setParameter('linear_bytes', 100);
    try {
      const outcome = await receive('rings', family);
      expect(outcome).toMatchObject({ records: 0, returned: outcome.fragments });
    } finally {
      restore();
    }
  });

  it('nothing is lost where the ring is full', async () => {
    const outcome = await receive('full', family);
    expect(outcome.full).toBeGreaterThan(0);
    expect(outcome.tooSmall).toBeGreaterThan(0);
    expect(outcome.returned).toBe(outcome.fragments);
  });

  it('wrong entries are counted and skipped, those between them taken', async () => {
    const outcome = await receive('bad', family);
    expect(outcome.bad).toBeGreaterThan(0);
    expect(outcome.invalid).toBe(outcome.bad);
    expect(outcome).toMatchObject({ unknown: 0, returned: outcome.fragments });
  });

  it('a peek tells of fragments again, by tokens of their own', async () => {
    const outcome = await receive('peek', family);
    expect(outcome).toMatchObject({ records: 0, unknown: 0, returned: outcome.fragments });
  });

  it('sockets share a queue, and are told apart', async () => {
    const outcome = await receive('two', family, 2);
    expect(outcome).toMatchObject({ bytes: 2 * BYTES, unknown: 0, returned: outcome.fragments });
  });

  it('a socket goes on by another cookie', async () => {
    const outcome = await receive('reattach', family);
    expect(outcome).toMatchObject({ invalid: 0, unknown: 0, returned: outcome.fragments });
  });

  it('who leaves while the ring is taken up has given back all that was in it', async () => {
    const outcome = await receive('detach', family);
    expect(outcome).toMatchObject({ left: 0, invalid: 0, unknown: 0 });
    expect(outcome.returned).toBe(outcome.fragments);
  });

  it('control messages are back once the queue is closed', async () => {
    const outcome = await receive('close', family);
    expect(outcome.records).toBeGreaterThan(0);
    expect(outcome.records).toBeLessThan(outcome.fragments);
    expect(outcome.returnCalls).toBe(outcome.records);
  });

  it('a process that was forked off gives back for its parent', async () => {
    const outcome = await receive('fork', family);
    expect(outcome).toMatchObject({ invalid: 0, unknown: 0, returned: outcome.fragments });
  });

  it('who leaves with fragments in hand and entries in the ring leaves nothing behind', async () => {
    const args = ['leave', String(BYTES / 2)];
    const { status } = await runReceiver(args, ADDRESS[family], 1);
    expect(status).toBe(0);
    expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
  });
});
