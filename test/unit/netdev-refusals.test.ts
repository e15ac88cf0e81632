/** What the kernel refuses to tell of queues and page pools is told, not taken for none. */
import { constants } from 'node:os';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { GenericNetlink } from '../../dist/nic/netlink/generic.js';
import { NetdevNetlink } from '../../dist/nic/netlink/netdev.js';

const { EOPNOTSUPP, ENODEV } = constants.errno;

/** A kernel that answers every request with this. */
function refuseAll(errno: number): void {
  const answer = { messages: [], errno: -errno, kernelMessage: 'not here' };
  const kernel = { request: () => Promise.resolve(answer), close: () => {} };
  vi.spyOn(GenericNetlink, 'open').mockResolvedValue(kernel as unknown as GenericNetlink);
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('a dump that the kernel refuses', () => {
  it.for([
    ['page pools', 'netdev page-pool-get', (netdev) => netdev.pagePools()],
    ['the queues of an interface', 'netdev queue-get', (netdev) => netdev.rxQueues(1)],
    ['all queues', 'netdev queue-get', (netdev) => netdev.allRxQueues()],
  ] satisfies [string, string, (netdev: NetdevNetlink) => Promise<unknown>][])(
    'is an error with its words: %s',
    async ([, syscall, ask]) => {
      refuseAll(EOPNOTSUPP);
      using netdev = await NetdevNetlink.open();
      const kernelMessage = 'not here';
      await expect(ask(netdev)).rejects.toMatchObject({
        errno: -EOPNOTSUPP,
        syscall,
        kernelMessage,
      });
    },
  );

  it('is none where the interface has gone, and its queues with it', async () => {
    refuseAll(ENODEV);
    using netdev = await NetdevNetlink.open();
    expect(await netdev.rxQueues(1)).toEqual([]);
  });
});
