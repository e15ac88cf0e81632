/** Programs that are started in mid-stream get nothing of it. */
import { expect, it } from 'vitest';

import { expectNothingInherited, ownDescriptors } from '../support/inherited.js';
import { openPair } from '../support/peers.js';
import { send } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

const MiB = 2 ** 20;

describeOverTransports('a program that is started in mid-stream', (transport) => {
  it('has neither the sockets nor the memory', async () => {
    const before = ownDescriptors();
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const sent = send(pair.peer, 8 * MiB).then(() => pair.peer.end());
    let bytes = 0;
    let started = false;
    for await (using batch of pair.socket.batches()) {
      bytes += batch.byteLength;
      if (started) continue;
      started = true;
      await expectNothingInherited(before, [/^socket:/m, /memfd:devmem-tcp/]);
    }
    await sent;
    expect(bytes).toBe(8 * MiB);
  });
});
