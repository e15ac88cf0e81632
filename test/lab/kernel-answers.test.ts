/**
 * What the kernel says to calls that a receiver does not make by itself, or at moments
 * that do not come by themselves: through support/recvmsg_shim.c.
 */
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import type { SocketStats, SystemError } from 'devmem-tcp';
import { beforeAll, describe, expect, it } from 'vitest';

import { ADDRESS, steerToQueues } from './support/guest.js';
import { startSender } from './support/transfer.js';
import { TRANSPORT } from './support/transport.js';

const MiB = 2 ** 20;
const BYTES = 2 * MiB;
const PAGE = 4096;
/** Whether fragments are told of in control buffers, which the shim then makes shorter. */
const byControlMessages = TRANSPORT === 'cmsg';
/** A limit that makes a stream take many calls. */
const FEW_PAGES = 16 * PAGE;
const RECEIVER = fileURLToPath(new URL('support/receiver.mjs', import.meta.url));
const SOURCE = fileURLToPath(new URL('support/recvmsg_shim.c', import.meta.url));

type Mode = 'short' | 'tiny' | 'plain' | 'signals' | 'EINTR' | 'ENODEV';

interface Outcome {
  bytes: number;
  firstWrong: number;
  error: Pick<SystemError, 'code' | 'errno' | 'syscall' | 'message'> | null;
  stats: SocketStats;
  heldBytes: number;
  /** Calls that the mode concerned. */
  concerned: number;
}

let shim: string;

beforeAll(() => {
  const folder = mkdtempSync(path.join(tmpdir(), 'recvmsg-shim-'));
  shim = path.join(folder, 'shim.so');
  execFileSync('cc', ['-O1', '-Wall', '-Werror', '-shared', '-fPIC', SOURCE, '-o', shim, '-ldl']);
  const restoreSteering = steerToQueues(1, 1);
  return () => {
    restoreSteering();
    rmSync(folder, { recursive: true });
  };
});

/** Receives a stream in a process of its own, with the shim in it where there is a mode. */
async function receive(mode: Mode | undefined, heldLimit = 4 * MiB): Promise<Outcome> {
  const shimmed = { LD_PRELOAD: shim, RECVMSG_SHIM: mode };
  const child = fork(RECEIVER, [String(heldLimit)], {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    env: { ...process.env, ...(mode !== undefined && shimmed) },
  });
  let stderr = '';
  child.stderr!.on('data', (piece) => (stderr += String(piece)));
  const closed = once(child, 'close');
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const reported = once(child, 'message') as Promise<[Omit<Outcome, 'concerned'>]>;
  startSender(ADDRESS.IPv4, port, BYTES, 'ignore');
  const [outcome] = await reported;
  expect(await closed, stderr).toEqual([0, null]);
  return { ...outcome, concerned: Number(/^shim: (\d+)$/m.exec(stderr)?.[1] ?? 0) };
}

function expectWhole(outcome: Outcome): void {
  expect(outcome).toMatchObject({ error: null, bytes: BYTES, firstWrong: -1 });
  expectNothingHeld(outcome);
}

function expectNothingHeld({ stats, heldBytes }: Outcome): void {
  expect(heldBytes).toBe(0);
  expect(stats).toMatchObject({ heldFragments: 0, tokensMissed: 0, returnErrors: 0 });
  expect(stats.tokensReturned).toBe(stats.tokensTaken);
}

describe('a stream is whole', () => {
  it('with room for one fragment a call: a limit of one page', async () => {
    const outcome = await receive(undefined, PAGE);
    expectWhole(outcome);
    const { receiveCalls, fragments } = outcome.stats;
    expect(receiveCalls).toBeGreaterThanOrEqual(fragments);
    expect(fragments).toBeGreaterThanOrEqual(BYTES / PAGE);
  });

  it.runIf(byControlMessages)('where control buffers are shorter than what is there', async () => {
    const outcome = await receive('short');
    expectWhole(outcome);
    expect(outcome.concerned).toBeGreaterThan(BYTES / PAGE / 4);
    expect(outcome.stats.receiveCalls).toBeGreaterThanOrEqual(outcome.stats.fragments / 2);
  });

  it('where somebody reads without the flag: EFAULT, and the data stays', async () => {
    const outcome = await receive('plain');
    expectWhole(outcome);
    expect(outcome.concerned).toBeGreaterThan(0);
  });

  // The kernel waits for nothing in a call with MSG_DONTWAIT, so that a signal finds
  // nothing to interrupt; that it is so, and does no harm elsewhere, is what this shows.
  it('under a thousand signals a second', async () => {
    const outcome = await receive('signals');
    expectWhole(outcome);
    // One before each call, by the shim.
    expect(outcome.concerned).toBeGreaterThanOrEqual(outcome.stats.receiveCalls);
    expect(outcome.stats.receiveCalls).toBeGreaterThan(0);
  });

  it('where calls are interrupted all the same', async () => {
    const outcome = await receive('EINTR', FEW_PAGES);
    expectWhole(outcome);
    expect(outcome.concerned).toBeGreaterThan(10);
  });
});

describe('a stream ends with the error, and nothing held,', () => {
  it.runIf(byControlMessages)(
    'where a control buffer has no room at all: ETOOSMALL, which libc has no name for',
    async () => {
      const outcome = await receive('tiny', FEW_PAGES);
      expect(outcome.error).toMatchObject({ code: 'ETOOSMALL', errno: -525, syscall: 'recvmsg' });
      expect(outcome.firstWrong).toBe(-1);
      expect(outcome.bytes).toBeLessThan(BYTES);
      expectNothingHeld(outcome);
    },
  );

  // Linux says so of an skb that is marked unreadable and has readable fragments
  // (net/ipv4/tcp.c tcp_recvmsg_dmabuf), which no driver here makes.
  it('where the kernel finds readable data among unreadable: ENODEV', async () => {
    const outcome = await receive('ENODEV', FEW_PAGES);
    expect(outcome.error).toMatchObject({ code: 'ENODEV', errno: -19, syscall: 'recvmsg' });
    expect(outcome.firstWrong).toBe(-1);
    expectNothingHeld(outcome);
  });
});
