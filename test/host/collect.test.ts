/** Nothing outlives its last user: what is closed can be collected. */
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { createServer } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { closing, connectPlain, LOOPBACK } from '../support/peers.js';
import { bind, describeOverTransports } from '../support/transports.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const CONNECTIONS = 20;

describeOverTransports('a socket that was closed', (transport) => {
  it('is collected, and all that it held on to', async () => {
    await using bound = await bind(transport);
    const sockets: WeakRef<object>[] = [];
    await using server = createServer({ binding: bound.binding }, async (socket) => {
      sockets.push(new WeakRef(socket));
      for await (const batch of socket.batches()) batch.release();
    });
    const { port } = await server.listen({ host: LOOPBACK });
    for (let i = 0; i < CONNECTIONS; i++) {
      const peer = await connectPlain(port);
      peer.resume();
      peer.end('payload');
      await closing(peer);
    }
    while (server.connections.size > 0) await once([...server.connections][0]!, 'close');

    // Finalisers run between turns of the event loop, some only after others.
    for (let turn = 0; turn < 20; turn++) {
      collectGarbage();
      await nextTurn();
    }
    expect(sockets).toHaveLength(CONNECTIONS);
    const alive = sockets.filter((socket) => socket.deref() !== undefined).length;
    // The last one may still be on some stack.
    expect(alive).toBeLessThanOrEqual(1);
  });
});
