/**
 * Writing, ending, destroying, closing and aborting in any order, against peers that read,
 * end, reset and keep silent. `DEVMEM_SEED` and `DEVMEM_RUNS` bring a failure back, or go
 * on for longer.
 */
import type net from 'node:net';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { setImmediate as immediate, setTimeout as delay } from 'node:timers/promises';

import { type ConnectionHandler, createServer, type DevmemSocket } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { Random } from '../soak/random.mjs';
import { Interleaving } from '../support/interleaving.js';
import { expectNoLeaks } from '../support/leaks.js';
import { close, connectPlain, LOOPBACK } from '../support/peers.js';
import { bind, describeOverTransports } from '../support/transports.js';

const RUNS = Number(process.env.DEVMEM_RUNS ?? 200);
const SEED = Number(process.env.DEVMEM_SEED ?? Date.now() % 1_000_000);
const TIMES = `${RUNS} times from seed ${SEED} on`;
const TIMEOUT = { timeout: 60_000 + RUNS * 500 };
const AT_ONCE = 4;
const CLIENTS = 8;

/** Calls back with all seeds, several at once. */
async function eachSeed(run: (seed: number) => Promise<void>): Promise<void> {
  let next = SEED;
  const lane = async (): Promise<void> => {
    while (next < SEED + RUNS) await run(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

function write({ writable }: DevmemSocket, size: number): Promise<void> {
  return new Promise((resolve, reject) => {
    writable.write(Buffer.alloc(size), (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

async function read(socket: DevmemSocket): Promise<void> {
  for await (using batch of socket.batches()) expect(batch.released).toBe(false);
}

async function echo(socket: DevmemSocket): Promise<void> {
  for await (using batch of socket.batches()) await write(socket, batch.byteLength);
}

async function flood(socket: DevmemSocket): Promise<void> {
  for (let i = 0; i < 100; i++) await write(socket, 2 ** 18);
}

// Handlers without a fault of their own, and without a `catch`.
const handlers: readonly ConnectionHandler[] = [
  read,
  echo,
  flood,
  () => {},
  (socket) => write(socket, 2 ** 18),
  (socket) => {
    socket.writable.write(Buffer.alloc(2 ** 22));
  },
  async (socket) => {
    await read(socket);
    await immediate();
    await flood(socket);
  },
  async (socket) => {
    await Promise.all([read(socket), flood(socket)]);
  },
  async (socket) => {
    await Promise.any([echo(socket), finished(socket.writable)]);
  },
  async (socket) => {
    const chunks = new Array(20).fill(Buffer.alloc(2 ** 18)) as Buffer[];
    await pipeline(Readable.from(chunks), socket.writable);
  },
  async (socket) => {
    await flood(socket).catch(() => {
      throw new Error('could not answer');
    });
  },
];

const CLIENT_STEPS = Object.freeze({
  write: 5,
  wait: 4,
  pause: 1,
  resume: 2,
  end: 1,
  reset: 0.7,
  destroy: 0.7,
});

async function act(client: net.Socket, random: Random): Promise<void> {
  for (let steps = random.int(1, 8); steps > 0 && !client.destroyed; steps--) {
    const step = random.weighted(CLIENT_STEPS);
    if (step === 'wait') await delay(random.int(0, 3));
    else if (step === 'write') client.write(Buffer.alloc(random.magnitude(1, 2 ** 18)));
    else if (step === 'pause') client.pause();
    else if (step === 'resume') client.resume();
    else if (step === 'destroy') client.destroy();
    else if (step === 'end') {
      client.end();
      return;
    } else {
      client.resetAndDestroy();
    }
  }
}

describeOverTransports('in any order', (transport) => {
  expectNoLeaks();

  it(`a connection ends as it has to, whatever its ends do (${TIMES})`, TIMEOUT, async () => {
    await using bound = await bind(transport, { size: 16 * 2 ** 20 });
    await eachSeed((seed) => new Interleaving(seed, bound.binding).run());
    expect(bound.binding.heldBytes).toBe(0);
  });

  it(`no peer makes a server emit 'error', or hold its close() (${TIMES})`, TIMEOUT, async () => {
    await using bound = await bind(transport, { size: 16 * 2 ** 20 });
    const { binding } = bound;
    await eachSeed(async (seed) => {
      const random = new Random(seed);
      const allowHalfOpen = random.chance(0.5);
      const closeTimeout = random.pick([0, 1, 20]);
      const errors: unknown[] = [];
      const server = createServer({ binding, allowHalfOpen, closeTimeout }, (socket) =>
        random.pick(handlers)(socket),
      );
      server.on('error', (error) => errors.push(error));
      const { port } = await server.listen({ host: LOOPBACK });
      const clients = await Promise.all(
        Array.from({ length: CLIENTS }, () => connectPlain(port, LOOPBACK, { allowHalfOpen })),
      );
      for (const client of clients) client.on('error', () => {});
      await Promise.all(clients.map((client, i) => act(client, random.fork(`client ${i}`))));
      if (random.chance(0.2)) server.closeAllConnections();
      await server.close();
      expect(errors, `seed ${seed}`).toEqual([]);
      expect(server.connections.size, `seed ${seed}`).toBe(0);
      await Promise.all(clients.map(close));
    });
    await immediate();
    expect(binding.heldBytes).toBe(0);
  });
});
