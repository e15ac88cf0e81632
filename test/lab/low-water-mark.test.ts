/** Waking for many bytes at once, on the devmem path. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { createServer } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { bindForEachTest } from './support/bound.js';
import { ADDRESS, type Family, setParameter } from './support/guest.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { patternReader, type Received } from './support/transfer.js';

const SENDER = fileURLToPath(new URL('support/message-sender.mjs', import.meta.url));
const KiB = 1024;
const MESSAGES = 24;

const bound = bindForEachTest([1]);

/** Receives messages, answering each, which nobody can who waits for more than was sent. */
async function receiveMessages(family: Family, bytes: number, mark: number): Promise<Received> {
  let outcome: Promise<Received> | undefined;
  const options = { binding: bound.binding, lowWaterMark: mark };
  await using server = createServer(options, async (socket) => {
    let answered = 0;
    outcome = patternReader(socket, async (position) => {
      for (; answered < Math.floor(position / bytes); answered++) socket.writable.write('.');
    });
    await outcome;
  });
  const { port } = await server.listen({ host: ADDRESS[family] });
  const args = [SENDER, ADDRESS[family], port, MESSAGES, bytes].map(String);
  const sender = spawn('peer', [process.execPath, ...args], { stdio: ['ignore', 'ignore', 2] });
  expect(await once(sender, 'exit')).toEqual([0, null]);
  if (outcome === undefined) throw new Error('the sender never connected');
  return await outcome;
}

it.each<Family>(['IPv4', 'IPv6'])(
  'messages as long as the mark come whole, over %s',
  async (family) => {
    const bytes = 256 * KiB;
    const { firstWrong, bytes: got, stats } = await receiveMessages(family, bytes, bytes);
    expect(firstWrong).toBe(-1);
    expect(got).toBe(MESSAGES * bytes);
    expect(stats.deviceBytes / got).toBeGreaterThan(0.9);
    expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
  },
);

it('the reader sleeps until all of a message is there', async () => {
  const bytes = 256 * KiB;
  const { stats } = await receiveMessages('IPv4', bytes, bytes);
  // A wake for each message and for the end, another where a batch's slot was nearly full.
  expect(stats.wakes).toBeLessThanOrEqual(2 * MESSAGES + 1);
});

it('linear bytes among the others are not left behind', async () => {
  const restore = setParameter('linear_bytes', 100);
  try {
    const bytes = 64 * KiB;
    const { firstWrong, bytes: got, stats } = await receiveMessages('IPv4', bytes, bytes);
    expect(firstWrong).toBe(-1);
    expect(got).toBe(MESSAGES * bytes);
    expect(stats.linearBytes).toBeGreaterThan(0);
  } finally {
    restore();
  }
});
