/** `devmem-tcp doctor` where the devmem path works. */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';

import { bindRx, DmaBuf, type Finding, type Report } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { runCli } from '../support/cli.js';
import { INTERFACE, rxQueues, setHeaderSplit } from './support/guest.js';

async function doctor(...args: string[]): Promise<{ status: number | null; report: Report }> {
  const { status, stdout } = await runCli(['doctor', '--json', ...args]);
  return { status, report: JSON.parse(stdout) as Report };
}

const find = ({ findings }: Report, id: string): Finding | undefined =>
  findings.find((each) => each.id === id);

it('misses nothing, and exits with 0', async () => {
  const { status, report } = await doctor();
  expect(report.findings.filter((each) => each.status === 'missing')).toEqual([]);
  expect(report).toMatchObject({ ready: true, interfaces: [INTERFACE] });
  expect(status).toBe(0);
});

it('warns first of urgent data, unless the kernel is patched', async () => {
  const patched = readFileSync('/proc/kallsyms', 'utf8').includes(' tcp_urg_unreadable');
  const { report } = await doctor();
  expect(report.findings[0]).toMatchObject({
    id: 'kernel.urgent-data',
    status: patched ? 'ok' : 'warning',
  });
  // Kernels by name, so that a symbol that is renamed is found out.
  expect(patched).toBe(
    /^(patched|debug|queue|slots|bulk)-/.test(process.env.DEVMEM_LAB_KERNEL ?? ''),
  );
});

it('warns of packet sockets where the kernel does not keep what they share with TCP', async () => {
  const { report } = await doctor();
  // Kernels by name, as above.
  const finding = find(report, 'kernel.packet-sockets');
  const harms: Record<string, string> = {
    'debian-6.12': 'can panic this kernel',
    'debian-7': 'can cost a stream its bytes',
  };
  const harm = harms[process.env.DEVMEM_LAB_KERNEL ?? ''];
  expect(finding?.status).toBe(harm === undefined ? 'ok' : 'warning');
  expect(finding?.title).toContain(harm ?? 'do no harm');
});

it('finds all stable fixes in a 6.12 of today, and has no list for others', async () => {
  const { report } = await doctor();
  const expected = release().startsWith('6.12.') ? 'ok' : undefined;
  expect(find(report, 'kernel.stable')?.status).toBe(expected);
});

it('is right about the interface that it is asked for', async () => {
  const { status, report } = await doctor('--interface', INTERFACE);
  expect(status).toBe(0);
  expect(find(report, 'interface.driver')?.title).toContain('devmemsim');
  expect(find(report, 'interface.queues')?.title).toContain(String(rxQueues().length));
});

it('sees what is bound, and what is free', async () => {
  await using memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * 2 ** 20 });
  await using binding = await bindRx({ interface: INTERFACE, queues: [1], memory, mode: 'devmem' });
  const { status, report } = await doctor();
  expect(status).toBe(0);
  const title = find(report, 'interface.bound')?.title;
  expect(title).toContain(`1 (binding ${binding.id})`);
  expect(title).toContain('free: 0, 2');
});

it('misses a free queue where all are bound', async () => {
  await using memory = await DmaBuf.allocate({ type: 'udmabuf', size: 64 * 2 ** 20 });
  await using binding = await bindRx({
    interface: INTERFACE,
    queues: rxQueues(),
    memory,
    mode: 'devmem',
  });
  const { status, report } = await doctor();
  expect(status).toBe(1);
  const finding = find(report, 'interface.bound');
  expect(finding).toMatchObject({ status: 'missing' });
  expect(finding?.title).toMatch(new RegExp(`: 0-\\d+ \\(binding ${binding.id}\\)$`));
});

it('sees header split off, and how to turn it on', async () => {
  await setHeaderSplit(false);
  try {
    const { status, report } = await doctor();
    expect(status).toBe(0);
    expect(find(report, 'interface.header-split')).toMatchObject({
      status: 'warning',
      commands: [`ethtool -G ${INTERFACE} tcp-data-split on`],
    });
  } finally {
    await setHeaderSplit(true);
  }
});

it('misses CAP_NET_ADMIN where it is taken away', async () => {
  const { status, stdout } = await runCli(['doctor', '--json'], {
    prefix: ['setpriv', '--bounding-set', '-net_admin'],
  });
  expect(status).toBe(1);
  const missing = (JSON.parse(stdout) as Report).findings.filter(
    (each) => each.status === 'missing',
  );
  expect(missing.map(({ id }) => id)).toEqual(['privilege.net-admin']);
});
