/** `devmem-tcp top`, of a binding that the kernel has. */
import { serveDiagnostics } from 'devmem-tcp';
import { expect, it } from 'vitest';

import type { KernelState } from '../../dist/cli/top/kernel.js';
import type { TopView } from '../../dist/cli/top/view.js';
import { runCli } from '../support/cli.js';
import { Folder } from '../support/unix.js';
import { bindForEachTest } from './support/bound.js';
import { INTERFACE, rxQueues } from './support/guest.js';
import { TRANSPORT } from './support/transport.js';

const bound = bindForEachTest([1, 2]);

async function top(...args: string[]): Promise<TopView & { kernel: KernelState }> {
  const { stdout } = await runCli(['top', '--json', '--interval', '0.2', ...args]);
  return JSON.parse(stdout) as TopView & { kernel: KernelState };
}

it('queues and page pools of a binding are told of, and who has it', async () => {
  using folder = new Folder();
  const path = folder.file('diagnostics');
  await using diagnostics = await serveDiagnostics({ path });
  const { binding } = bound;
  const { kernel, processes } = await top('--process', diagnostics.path);
  const user = `dma-buf ${binding.id}`;
  expect(kernel.queues).toEqual([
    { interface: INTERFACE, queue: 1, user },
    { interface: INTERFACE, queue: 2, user },
  ]);
  expect(kernel.freeQueues).toBeGreaterThanOrEqual(rxQueues().length - 2);
  const pools = kernel.pools.filter((pool) => pool.user === user);
  expect(pools).toHaveLength(2);
  for (const pool of pools) {
    // Nothing has come, and this NIC takes a page when something does.
    expect(pool).toMatchObject({ interface: INTERFACE, detached: false, inFlight: 0 });
  }
  expect(processes[0]?.bindings).toMatchObject([
    { id: binding.id, transport: TRANSPORT, interface: INTERFACE, queues: [1, 2] },
  ]);
});

it('the table has them', async () => {
  const { stdout } = await runCli(['top', '--interval', '0.2']);
  expect(stdout).toMatch(new RegExp(`^${INTERFACE} +1 +dma-buf ${bound.binding.id}$`, 'm'));
  expect(stdout).toMatch(/^PAGE POOL +INTERFACE +MEMORY OF +IN FLIGHT$/m);
});
