/**
 * A NIC that leaves to the kernel what devmemsim otherwise spares it: packets split and
 * not, payload in pages beside the headers, wrong checksums; and all of it to GRO.
 */
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { bindForEachTest } from './support/bound.js';
import { counter } from './support/counters.js';
import {
  ADDRESS,
  type Family,
  run,
  sendSegments,
  setParameter,
  statistic,
} from './support/guest.js';
import { mended, sayIfUnmended } from './support/mended.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { type Received, receiveStreams } from './support/transfer.js';

const MiB = 2 ** 20;
const BYTES = 8 * MiB;
const PEERS = fileURLToPath(new URL('support/peers.py', import.meta.url));
/** What peers.py sends. */
const DAMAGED = 16;

sayIfUnmended('a NIC that spares the kernel nothing');

const bound = bindForEachTest([1]);

beforeAll(() => setParameter('careless', 1));

const undo: (() => void)[] = [];
afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

/** Segments that TCP dropped because of their checksums, over IPv4 and IPv6 together. */
const checksumErrors = () => counter('TcpInCsumErrors');

async function receiveWhole(family: Family): Promise<Received> {
  const [received] = await receiveStreams(bound.binding, family, BYTES);
  expect(received).toMatchObject({ firstWrong: -1, bytes: BYTES });
  expect(received!.stats.deviceBytes).toBeGreaterThan(0);
  expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
  return received!;
}

describe.runIf(mended).each<Family>(['IPv4', 'IPv6'])('over %s', (family) => {
  it('super-packets with payload beside the headers come whole', async () => {
    undo.push(setParameter('linear_bytes', 1024));
    const { stats } = await receiveWhole(family);
    expect(stats.linearBytes).toBeGreaterThan(0);
  });

  it('packets whose checksum is wrong are dropped, and counted', async () => {
    const [packets, errors] = [statistic('rx_split_packets'), checksumErrors()];
    run('peer', 'python3', PEERS, 'damaged', ADDRESS[family], '4321');
    while (checksumErrors() < errors + DAMAGED) await delay(50);
    expect(statistic('rx_split_packets')).toBeGreaterThanOrEqual(packets + DAMAGED);
    await receiveWhole(family);
  });

  describe('in single segments', () => {
    beforeAll(() => {
      sendSegments(true);
    });
    afterAll(() => {
      sendSegments(false);
    });

    it('payload beside the headers comes whole', async () => {
      undo.push(setParameter('linear_bytes', 512));
      const { stats } = await receiveWhole(family);
      expect(stats.linearBytes).toBeGreaterThan(0);
    });

    it('packets split and not come in their order', async () => {
      undo.push(setParameter('linear_bytes', 0));
      const over = new AbortController();
      const switching = (async () => {
        for (let on = false; !over.signal.aborted; on = !on) {
          setParameter('linear_bytes', on ? 2048 : 0);
          await turn();
        }
      })();
      try {
        const { stats } = await receiveWhole(family);
        expect(stats.linearBytes).toBeGreaterThan(0);
      } finally {
        over.abort();
        await switching;
      }
    });
  });
});
