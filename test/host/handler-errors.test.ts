/** Which errors are the connection's, and which the handler's own. */
import { once } from 'node:events';
import type net from 'node:net';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { setImmediate as immediate } from 'node:timers/promises';

import {
  type ConnectionHandler,
  createServer,
  type DevmemServer,
  type DevmemSocket,
} from 'devmem-tcp';
import { expect, it } from 'vitest';

import { deferred } from '../support/deferred.js';
import { expectNoLeaks } from '../support/leaks.js';
import { close, connectPlain, LOOPBACK, reset } from '../support/peers.js';
import { readText, take } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

const MiB = 2 ** 20;

/** Writes for as long as the peer takes it, and rejects with what ends that. */
async function flood({ writable }: DevmemSocket): Promise<never> {
  for (;;) {
    await new Promise<void>((resolve, reject) => {
      writable.write(Buffer.alloc(MiB), (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }
}

const endless = (): Readable =>
  new Readable({
    read() {
      this.push(Buffer.alloc(MiB));
    },
  });

async function inOtherWords(socket: DevmemSocket): Promise<never> {
  return flood(socket).catch(() => {
    throw new Error('could not answer');
  });
}

/** Bytes that either end has of the other. */
function exchanged({ client, socket }: { client: net.Socket; socket: DevmemSocket }): number {
  return client.readableLength + socket.stats.linearBytes + socket.stats.copiedBytes;
}

// Handlers that a peer's reset has fail, each in its own way.
const failing: Record<string, ConnectionHandler> = {
  'a read': async (socket) => {
    await readText(socket);
  },
  'a write': flood,
  'a read, then a write': async (socket) => {
    const reading = readText(socket).catch(() => {});
    await Promise.all([flood(socket), reading]);
  },
  'a write, then a read': async (socket) => {
    await flood(socket).catch(() => {});
    await readText(socket);
    await flood(socket);
  },
  'a write after its read was caught': async (socket) => {
    await readText(socket).catch(() => {});
    await flood(socket);
  },
  'a pipeline': (socket) => pipeline(endless(), socket.writable),
  'who waits for the writing side': async (socket) => {
    const over = finished(socket.writable);
    await readText(socket).catch(() => {});
    await over;
  },
  'any of several': async (socket) => {
    await Promise.any([flood(socket), readText(socket)]);
  },
  'a write, as the cause of another error': async (socket) => {
    await flood(socket).catch((cause: unknown) => {
      throw new Error('could not answer', { cause });
    });
  },
  'a write, in other words': inOtherWords,
  'a write in a loop': async (socket) => {
    for await (using batch of socket.batches()) {
      expect(batch.released).toBe(false);
      await inOtherWords(socket);
    }
  },
};

// What ends a connection otherwise, while its handler runs.
const endings: Record<string, (server: DevmemServer, socket: DevmemSocket) => void> = {
  'server.close()': (server) => void server.close(),
  'closeAllConnections()': (server) => server.closeAllConnections(),
  'socket.close() elsewhere': (_, socket) => void socket.close(),
  'socket.destroy() elsewhere': (_, socket) => socket.destroy(),
  'socket.destroy(error) elsewhere': (_, socket) => socket.destroy(new Error('idle for too long')),
};

// Faults of the handler itself, whatever the connection is at.
const faults: Record<string, (socket: DevmemSocket, thrown: Error) => Promise<void>> = {
  'at the end of the stream': async (socket, thrown) => {
    await readText(socket);
    throw thrown;
  },
  'long after the end of the stream': async (socket, thrown) => {
    await readText(socket);
    for (let i = 0; i < 5; i++) await immediate();
    throw thrown;
  },
  'in its loop': async (socket, thrown) => {
    for await (using batch of socket.batches()) {
      expect(batch.released).toBe(false);
      throw thrown;
    }
  },
  'after close()': async (socket, thrown) => {
    await socket.close();
    throw thrown;
  },
  'in the block that closes the socket': async (socket, thrown) => {
    await using own = socket;
    expect(own.closed).toBe(false);
    throw thrown;
  },
  'after destroy()': async (socket, thrown) => {
    socket.destroy();
    throw thrown;
  },
  'in the source of a pipeline': async (socket, thrown) => {
    const source = Readable.from(
      (async function* () {
        yield Buffer.alloc(10);
        await immediate();
        throw thrown;
      })(),
    );
    await pipeline(source, socket.writable);
  },
};

describeOverTransports('what a handler throws', (transport) => {
  expectNoLeaks();

  /** A server that counts errors, and a client of it whose question the handler has. */
  async function serve(handler: ConnectionHandler, allowHalfOpen = false) {
    const bound = await bind(transport);
    const { binding } = bound;
    const server = createServer({ binding, allowHalfOpen }, handler);
    const counts = { error: 0, socketError: 0 };
    const told = deferred<{ event: string; values: unknown[] }>();
    for (const event of ['error', 'socketError'] as const) {
      server.on(event, (...values: unknown[]) => {
        counts[event]++;
        told.resolve({ event, values });
      });
    }
    const { port } = await server.listen({ host: LOOPBACK });
    const connected = once(server, 'connection');
    const client = await connectPlain(port, LOOPBACK, { allowHalfOpen: true });
    client.on('error', () => {});
    client.write('question');
    const [socket] = (await connected) as [DevmemSocket];
    return {
      server,
      client,
      socket,
      counts,
      told: told.promise,
      async [Symbol.asyncDispose]() {
        await close(client);
        await server.close();
        await bound[Symbol.asyncDispose]();
      },
    };
  }

  it.for(Object.entries(failing))(
    "is a 'socketError' where a reset fails %s, half-open or not",
    async ([, handler]) => {
      for (const allowHalfOpen of [false, true]) {
        await using served = await serve(handler, allowHalfOpen);
        served.client.pause();
        await expect.poll(() => exchanged(served), { interval: 1 }).toBeGreaterThan(0);
        reset(served.client);
        const { event, values } = await served.told;
        expect([event, values[1]]).toEqual(['socketError', served.socket]);
        expect(served.counts).toEqual({ error: 0, socketError: 1 });
      }
    },
  );

  it("is a 'socketError' where a peer that had ended resets under a write", async () => {
    await using served = await serve(async (socket) => {
      await readText(socket);
      await flood(socket);
    }, true);
    served.client.pause();
    served.client.end();
    await once(served.client, 'readable');
    reset(served.client);
    expect((await served.told).values).toEqual([served.socket.error, served.socket]);
    expect(served.counts).toEqual({ error: 0, socketError: 1 });
  });

  it("is a 'socketError' where it writes after the peer's end ended writing", async () => {
    await using served = await serve(async (socket) => {
      await readText(socket);
      for (let i = 0; i < 5; i++) await immediate();
      await flood(socket);
    });
    served.client.end();
    const [error] = (await served.told).values;
    expect(error).toMatchObject({ code: 'ERR_STREAM_WRITE_AFTER_END' });
    expect(served.counts).toEqual({ error: 0, socketError: 1 });
  });

  it("is a 'socketError' where a pipeline to a deaf peer is aborted", async () => {
    const controller = new AbortController();
    await using served = await serve((socket) =>
      pipeline(endless(), socket.writable, { signal: controller.signal }),
    );
    served.client.pause();
    controller.abort();
    expect((await served.told).values[0]).toMatchObject({ name: 'AbortError' });
    expect(served.counts).toEqual({ error: 0, socketError: 1 });
  });

  it.for(Object.entries(endings))(
    "is a 'socketError' where %s ends the connection under a write",
    async ([how, end]) => {
      const otherWords = how.startsWith('server') || how.includes('All') || how.includes('error');
      await using served = await serve(otherWords ? inOtherWords : flood);
      served.client.pause();
      await once(served.client, 'readable');
      end(served.server, served.socket);
      await served.told;
      expect(served.counts).toEqual({ error: 0, socketError: 1 });
    },
  );

  it.for(Object.entries(faults))("is an 'error' where it is its own: %s", async ([, handler]) => {
    const thrown = new Error('bug in the handler');
    await using served = await serve((socket) => handler(socket, thrown));
    served.client.resume();
    served.client.end();
    expect(await served.told).toEqual({ event: 'error', values: [thrown] });
    expect(served.counts).toEqual({ error: 1, socketError: 0 });
  });

  it("is an 'error' where it writes after it ended the writing side itself", async () => {
    await using served = await serve(async (socket) => {
      const iterator = socket.batches();
      (await take(iterator)).release();
      socket.writable.end('answer');
      await flood(socket);
    });
    expect((await served.told).values).toMatchObject([{ code: 'ERR_STREAM_WRITE_AFTER_END' }]);
    expect(served.counts).toEqual({ error: 1, socketError: 0 });
  });
});
