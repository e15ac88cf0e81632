/** The addon's receiver, asked what the TypeScript above it never asks. */
import { once } from 'node:events';
import net from 'node:net';

import { describe, expect, it } from 'vitest';

import { descriptorOf, stopReading } from '../../dist/ipc/handle.js';
import { native } from '../../dist/native.js';
import { ring } from '../../dist/receive/ring.js';
import { createCounters } from '../../dist/receive/stats.js';
import type { Native, Pool } from '../../src/ts/native.js';
import { deferred } from '../support/deferred.js';
import { expectNoLeaks } from '../support/leaks.js';
import { LOOPBACK, PlainServer } from '../support/peers.js';
import { bind } from '../support/transports.js';

const FRAGMENTS = 6;
const MOST = 2 ** 32 - 1;
/** Number of a descriptor that there is none of. */
const UNKNOWN = 2 ** 31;

describe('a receiver', () => {
  expectNoLeaks();

  it('releases each fragment once, whatever is asked', async () => {
    await using bound = await bind('copy');
    await using server = await PlainServer.listen();
    const accepted = server.accept();
    const connection = net.connect({ host: LOOPBACK, port: server.port });
    await once(connection, 'connect');
    stopReading(connection, 'TCP');

    const numbers: number[] = [];
    let arrived = deferred();
    const { pool } = bound.binding as unknown as { pool: { native: Pool } };
    // What TypeScript has there is from dist/.
    const { Receiver } = native() as unknown as Pick<Native, 'Receiver'>;
    ring();
    const receiver = new Receiver(pool.native, createCounters(), (first, count) => {
      receiver.pause();
      for (let i = 0; i < count; i++) numbers.push(first + i);
      arrived.resolve();
    });
    try {
      expect(receiver.open(descriptorOf(connection, 'TCP')!)).toBe(0);
      const peer = await accepted;
      while (numbers.length < FRAGMENTS) {
        arrived = deferred();
        peer.write('a piece of its own');
        expect(receiver.resume(true)).toBe(0);
        await arrived.promise;
      }

      const first = numbers[0]!;
      const count = numbers.length;
      expect(numbers).toEqual(Array.from({ length: count }, (_, index) => first + index));
      expect(receiver.held).toBe(count);
      receiver.releaseRange(first, 2);
      receiver.releaseRange(first, 2);
      expect(receiver.held).toBe(count - 2);
      receiver.release(Uint32Array.of(first + 2, first, first + 2, first + 1), 4);
      expect(receiver.held).toBe(count - 3);
      receiver.release(Uint32Array.of(first + 3, UNKNOWN), 2);
      receiver.releaseRange(UNKNOWN, 1);
      expect(receiver.held).toBe(count - 4);
      receiver.releaseRange(first, MOST);
      expect(receiver.held).toBe(0);
      expect(bound.binding.heldBytes).toBe(0);
      receiver.releaseRange(first, count);
      expect(receiver.held).toBe(0);
    } finally {
      receiver.close();
      connection.destroy();
    }
  });
});
