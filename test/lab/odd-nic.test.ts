/**
 * NICs that do what devmemsim otherwise does not: sums in place of verdicts, padding, small
 * packets left whole, headers that find no room, queues that are polled late.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer as createPlainServer, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';

import { type Binding, createServer } from 'devmem-tcp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { setRssTable } from '../../dist/nic/netlink/rss.js';
import { bindForEachTest } from './support/bound.js';
import {
  ADDRESS,
  type Family,
  INTERFACE,
  sendSegments,
  setMtu,
  setParameter,
  statistic,
  steerToQueues,
} from './support/guest.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { patternReader, type Received, receiveStreams, startSender } from './support/transfer.js';

const MiB = 2 ** 20;
const BYTES = 2 * MiB;
/** More than a receive window, so that some of it comes after the first batches. */
const LONG = 8 * MiB;
/** Traffic comes to the first. */
const QUEUES = [1, 2] as const;
const UNBOUND = 3;
const RSS_ENTRIES = 128;
/** Packets that are lost in the meantime: sent again, each time later. */
const DROPS = 3;
/** How often a setting changes with each batch: an odd number, so that it ends up changed. */
const TOGGLES = 1001;

/** Reads a stream to its end, and tells its length. */
const COUNT = `
import socket, sys
stream = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print(sum(len(piece) for piece in iter(lambda: stream.recv(65536), b"")))
`;

const bound = bindForEachTest(QUEUES);

const undo: (() => void)[] = [];
afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

const set = (name: string, value: number): void => {
  undo.push(setParameter(name, value));
};

async function receiveWhole(binding: Binding, family: Family): Promise<Received> {
  const [received] = await receiveStreams(binding, family, BYTES);
  expect(received).toMatchObject({ firstWrong: -1, bytes: BYTES });
  return received!;
}

/** A stream that comes whole although something is done to the NIC after each batch. */
async function receiveAcross(family: Family, action: () => Promise<void>): Promise<Received> {
  let outcome: Promise<Received> | undefined;
  await using server = createServer({ binding: bound.binding }, async (socket) => {
    outcome = patternReader(socket, action);
    await outcome;
  });
  const { port } = await server.listen({ host: ADDRESS[family] });
  await once(startSender(ADDRESS[family], port, LONG), 'exit');
  const received = await outcome;
  expect(received).toMatchObject({ firstWrong: -1, bytes: LONG });
  expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
  return received!;
}

/** A stream that comes whole although the NIC is like that until a counter has risen. */
async function receiveDespite(
  family: Family,
  settings: readonly [string, number][],
  counter: string,
): Promise<void> {
  let over: Promise<void> | undefined;
  const disturb = async (): Promise<void> => {
    const before = statistic(counter);
    const back = settings.map(([name, value]) => setParameter(name, value));
    while (statistic(counter) < before + DROPS) await delay(50);
    for (const step of back) step();
  };
  await receiveAcross(family, () => {
    over ??= disturb();
    return Promise.resolve();
  });
  await over;
}

/** How many bytes the peer got of those that a socket sent it until both had closed. */
async function sendToPeer(family: Family, bytes: number): Promise<number> {
  const server = createPlainServer((socket) => socket.resume().end(Buffer.alloc(bytes)));
  await once(server.listen(0, ADDRESS[family]), 'listening');
  const { port } = server.address() as AddressInfo;
  const peer = spawn('peer', ['python3', '-c', COUNT, ADDRESS[family], String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const counted = text(peer.stdout);
  const [connected] = await Promise.all([once(server, 'connection'), once(peer, 'exit')]);
  await finished((connected as [Socket])[0]);
  server.close();
  return Number(await counted);
}

describe.each<Family>(['IPv4', 'IPv6'])('over %s, in single segments', (family) => {
  beforeAll(() => {
    sendSegments(true);
  });
  afterAll(() => {
    sendSegments(false);
  });

  it('a stream is whole that the NIC sums up in place of verifying it', async () => {
    set('csum_complete', 1);
    const before = statistic('rx_csum_complete');
    const { stats } = await receiveWhole(bound.binding, family);
    expect(stats.deviceBytes).toBe(BYTES);
    expect(statistic('rx_csum_complete')).toBeGreaterThan(before + BYTES / 2000);
    expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
  });

  it('a stream is whole of which the NIC sums some up, and verifies the rest', async () => {
    set('csum_complete', 0);
    let on = false;
    const before = statistic('rx_csum_complete');
    const { stats } = await receiveAcross(family, async () => {
      // Also in the midst of a packet.
      for (let i = 0; i < TOGGLES; i++) {
        on = !on;
        setParameter('csum_complete', on ? 1 : 0);
      }
      await turn();
    });
    expect(stats.deviceBytes).toBe(LONG);
    expect(statistic('rx_csum_complete')).toBeGreaterThan(before);
  });

  it('padding behind the payload is not taken for it', async () => {
    set('padding', 7);
    const { stats } = await receiveWhole(bound.binding, family);
    expect(stats.deviceBytes).toBe(BYTES);
    expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
  });

  it('padding that is summed up with payload stops a stream, and loses nothing of it', async () => {
    const settings: [string, number][] = [
      ['padding', 6],
      ['csum_complete', 1],
    ];
    await receiveDespite(family, settings, 'rx_csum_complete');
  });

  it('packets of padding alone, summed up, open a stream, acknowledge, and end it', async () => {
    set('padding', 6);
    set('csum_complete', 1);
    const [summed, frags] = [statistic('rx_csum_complete'), statistic('rx_device_frags')];
    expect(await sendToPeer(family, BYTES)).toBe(BYTES);
    expect(statistic('rx_csum_complete')).toBeGreaterThan(summed);
    expect(statistic('rx_device_frags')).toBeGreaterThan(frags);
  });

  it('headers that find no room stop a stream, and lose nothing of it', async () => {
    await receiveDespite(family, [['header_room', 64]], 'rx_header_overflow');
  });

  it('headers that find no room are put together where payload is readable', async () => {
    steerToQueues(UNBOUND, 1);
    undo.push(() => steerToQueues(QUEUES[0], 1));
    set('header_room', 64);
    const before = statistic('rx_header_overflow');
    const { stats } = await receiveWhole(bound.binding, family);
    expect(stats).toMatchObject({ deviceBytes: 0, linearBytes: BYTES });
    expect(statistic('rx_header_overflow')).toBeGreaterThan(before);
  });

  it('packets that are left whole come in their place among others', async () => {
    set('copybreak', 0);
    let whole = false;
    const { stats } = await receiveAcross(family, async () => {
      whole = !whole;
      setParameter('copybreak', whole ? 2048 : 0);
      await turn();
    });
    expect(stats.linearBytes).toBeGreaterThan(0);
    expect(stats.deviceBytes).toBeGreaterThan(0);
  });

  it('the payload of a segment goes on in the next buffer', async () => {
    setMtu(9000);
    undo.push(() => setMtu(1500));
    const [packets, frags] = [statistic('rx_split_packets'), statistic('rx_device_frags')];
    await receiveWhole(bound.binding, family);
    const split = statistic('rx_split_packets') - packets;
    expect(statistic('rx_device_frags') - frags).toBeGreaterThan(2 * split);
    expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
  });
});

describe('a queue that is polled late', () => {
  it('gives what came on another one the lead, and the stream is in order', async () => {
    set('poll_delay_queue', QUEUES[1]);
    set('poll_delay', 20);
    undo.push(() => steerToQueues(QUEUES[0], 1));
    const before = QUEUES.map((queue) => statistic(`rx${queue}_device_frags`));
    let moves = 0;
    await receiveAcross('IPv4', () => {
      moves++;
      return setRssTable(INTERFACE, Array<number>(RSS_ENTRIES).fill(QUEUES[moves % 2]!));
    });
    expect(moves).toBeGreaterThan(1);
    const after = QUEUES.map((queue) => statistic(`rx${queue}_device_frags`));
    for (const [index, count] of after.entries()) expect(count).toBeGreaterThan(before[index]!);
  });

  it('leaves nothing behind where memory is unbound meanwhile', async () => {
    set('poll_delay_queue', QUEUES[0]);
    await using server = createServer({ binding: bound.binding }, async (socket) => {
      // Half of the stream is on its way for a second.
      set('poll_delay', 1000);
      for await (const batch of socket.batches()) batch.release();
    });
    server.on('socketError', () => {});
    const { port } = await server.listen({ host: ADDRESS.IPv4 });
    const sender = startSender(ADDRESS.IPv4, port, BYTES, 'ignore');
    await once(server, 'connection');
    expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
    sender.kill();
  });
});
