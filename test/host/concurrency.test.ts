import { createServer, type DevmemSocket } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { closing, connectPlain, LOOPBACK } from '../support/peers.js';
import { readPattern, send } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const CONNECTIONS = 8;
const BYTES = 4 * MiB + 3;
// So far apart in the pattern that no stream looks like another.
const APART = 400_009;

describeOverTransports('several connections into one small memory', (transport) => {
  expectNoLeaks();

  it('each get their own bytes, in order, while memory goes round', async () => {
    await using bound = await bind(transport, { size: 256 * KiB });
    const received = new Map<number, number>();
    const handler = async (socket: DevmemSocket): Promise<void> => {
      const port = socket.remotePort!;
      received.set(port, await readPattern(socket, 'batches', (port % 1000) * APART));
    };
    await using server = createServer({ binding: bound.binding }, handler);
    const failures: unknown[] = [];
    server.on('error', (error) => failures.push(error));
    const { port } = await server.listen({ host: LOOPBACK });

    const clients = await Promise.all(
      Array.from({ length: CONNECTIONS }, () => connectPlain(port)),
    );
    const ports = clients.map((client) => client.localPort!);
    await Promise.all(
      clients.map(async (client) => {
        client.resume();
        await send(client, BYTES, (client.localPort! % 1000) * APART);
        client.end();
        await closing(client);
      }),
    );

    expect(failures).toEqual([]);
    expect(ports.map((each) => received.get(each))).toEqual(ports.map(() => BYTES));
    expect(bound.binding.heldBytes).toBe(0);
  });
});
