/** Memory belongs to one binding at a time: two would write over each other. */
import { type Batch, bindRx, DmaBuf } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { openPair } from '../support/peers.js';

const REFUSAL = { code: 'ERR_DEVMEM_MEMORY_IN_USE' };

it('refuses memory that a binding has, and takes it once that is closed', async () => {
  await using memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
  const first = await bindRx({ memory, mode: 'copy' });
  await expect(bindRx({ memory, mode: 'copy' })).rejects.toMatchObject(REFUSAL);
  await expect(bindRx({ memory })).rejects.toMatchObject(REFUSAL);
  await first.close();
  await using second = await bindRx({ memory, mode: 'copy' });
  expect(second.closed).toBe(false);
});

it('gives memory to one of two that ask for it at once', async () => {
  await using memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
  const outcomes = await Promise.allSettled([bindRx({ memory }), bindRx({ memory })]);
  expect(outcomes).toMatchObject([
    { status: 'fulfilled' },
    { status: 'rejected', reason: REFUSAL },
  ]);
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') await outcome.value.close();
  }
});

it('refuses memory of which fragments are held, until they are released', async () => {
  await using memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
  const first = await bindRx({ memory, mode: 'copy' });
  const held: Batch[] = [];
  {
    await using pair = await openPair(first);
    pair.peer.end('payload');
    for await (const batch of pair.socket.batches()) held.push(batch);
  }
  await first.close();
  await expect(bindRx({ memory, mode: 'copy' })).rejects.toMatchObject(REFUSAL);
  for (const batch of held) batch.release();
  await using second = await bindRx({ memory, mode: 'copy' });
  expect(second.heldBytes).toBe(0);
});

it('refuses memory into which a connection may still receive', async () => {
  await using memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
  const first = await bindRx({ memory, mode: 'copy' });
  {
    await using pair = await openPair(first);
    await first.close();
    await expect(bindRx({ memory, mode: 'copy' })).rejects.toMatchObject(REFUSAL);
    await pair.socket.close();
  }
  await using second = await bindRx({ memory, mode: 'copy' });
  expect(second.closed).toBe(false);
});
