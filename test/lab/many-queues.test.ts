/** A NIC of more queues than a word has bits. */
import { bindRx, DmaBuf } from 'devmem-tcp';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { INTERFACE, run, rxQueues, statistic, steerToQueues } from './support/guest.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { receiveStreams } from './support/transfer.js';

const MiB = 2 ** 20;
const QUEUES = 100;
const LAST = QUEUES - 1;
const SENDERS = 6;

beforeAll(() => {
  run('rmmod', 'devmemsim');
  // A short ring stops senders, of all transmit queues that their connections hash to.
  run('lab-nic', `queues=${QUEUES}`, 'ring_size=16', 'header_split=1');
});
afterAll(() => {
  run('rmmod', 'devmemsim');
  run('lab-nic');
});

it('receives into device memory on its last queue, from many at once', async () => {
  expect(rxQueues()).toHaveLength(QUEUES);
  steerToQueues(LAST, 1);
  await using memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
  const options = { interface: INTERFACE, queues: [LAST], memory, mode: 'devmem' } as const;
  await using binding = await bindRx(options);
  expect(binding.queues).toEqual([LAST]);
  const streams = await receiveStreams(binding, 'IPv4', MiB, SENDERS);
  for (const stream of streams) expect(stream).toMatchObject({ firstWrong: -1, bytes: MiB });
  expect(statistic(`rx${LAST}_device_frags`)).toBeGreaterThan((SENDERS * MiB) / 4096 / 2);
  expect(await poolsLeftAfterClose(binding)).toBe(0);
});
