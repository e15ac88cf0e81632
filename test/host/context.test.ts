import { AsyncLocalStorage } from 'node:async_hooks';

import { createServer } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { closing, connectPlain, LOOPBACK, openPair } from '../support/peers.js';
import { send } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

const MiB = 2 ** 20;

describeOverTransports('AsyncLocalStorage', (transport) => {
  expectNoLeaks();

  it('keeps its value across for await, in each of two loops at a time', async () => {
    await using bound = await bind(transport);
    await using one = await openPair(bound.binding);
    await using other = await openPair(bound.binding);
    const storage = new AsyncLocalStorage<string>();
    const read = (name: string, { socket }: typeof one): Promise<Set<string | undefined>> =>
      storage.run(name, async () => {
        const seen = new Set<string | undefined>();
        for await (using batch of socket.batches()) {
          if (batch.length > 0) seen.add(storage.getStore());
        }
        return seen.add(storage.getStore());
      });
    const reading = Promise.all([read('one', one), read('other', other)]);
    await Promise.all(
      [one, other].map(async ({ peer }) => {
        await send(peer, 4 * MiB);
        peer.end();
      }),
    );
    expect(await reading).toEqual([new Set(['one']), new Set(['other'])]);
  });

  it('keeps the value of a handler of a server', async () => {
    await using bound = await bind(transport);
    const storage = new AsyncLocalStorage<number>();
    const seen = new Set<string>();
    let connections = 0;
    await using server = createServer({ binding: bound.binding }, (socket) =>
      storage.run(++connections, async () => {
        const id = connections;
        for await (using fragment of socket) {
          if (fragment.size > 0) seen.add(`${id}: ${storage.getStore()}`);
        }
      }),
    );
    const { port } = await server.listen({ host: LOOPBACK });
    const clients = [await connectPlain(port), await connectPlain(port)];
    await Promise.all(
      clients.map(async (client) => {
        client.resume();
        await send(client, MiB);
        client.end();
        await closing(client);
      }),
    );
    expect([...seen].sort()).toEqual(['1: 1', '2: 2']);
  });
});
