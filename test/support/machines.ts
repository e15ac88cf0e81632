/** Machines for the doctor: a folder in place of `/`, and answers in place of a kernel. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { onTestFinished } from 'vitest';

import { Files } from '../../dist/doctor/files.js';
import type { Machine } from '../../dist/doctor/machine.js';
import type { Link } from '../../dist/nic/netlink/link.js';
import type { MemoryProbe } from '../../dist/memory/probe.js';

/** What is at a path: a file's content, or where a link leads. */
export type Entry = string | Uint8Array | { link: string };

/** A folder that holds the entries, until the test is over. */
export function tree(entries: Readonly<Record<string, Entry>>): string {
  const root = mkdtempSync(join(tmpdir(), 'devmem-tcp-tree-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const [path, entry] of Object.entries(entries)) {
    const full = join(root, path);
    mkdirSync(dirname(full), { recursive: true });
    if (typeof entry === 'object' && 'link' in entry) symlinkSync(entry.link, full);
    else writeFileSync(full, entry);
  }
  return root;
}

export const EINVAL = -22;
export const ENOPROTOOPT = -92;

/** Files of a machine that lacks nothing: root's capabilities, two queues. */
export const GOOD_FILES: Readonly<Record<string, Entry>> = {
  '/proc/self/status': 'Name:\tnode\nCapEff:\t000001ffffffffff\n',
  '/proc/self/uid_map': '         0          0 4294967295\n',
  '/proc/self/limits':
    'Max locked memory         8388608              8388608              bytes\n',
  '/proc/kallsyms': '0000000000000000 T tcp_sendmsg\n',
  '/sys/class/net/eth1/queues/rx-0/rps_cpus': '0',
  '/sys/class/net/eth1/queues/rx-1/rps_cpus': '0',
};

export const ETH1 = {
  name: 'eth1',
  index: 3,
  state: 'up',
  carrier: true,
  loopback: false,
  xdpProgram: undefined,
  xdpMode: undefined,
  parent: { name: '0000:3b:00.0', bus: 'pci' },
  alternativeNames: [],
  kind: undefined,
  lower: undefined,
  master: undefined,
  permanentAddress: '525400123456',
} as const satisfies Link;

export const RINGS = {
  rx: 1024,
  tcpDataSplit: 'enabled',
  hdsThreshold: 0,
  hdsThresholdMax: 1023,
} as const;

export const queue = (id: number) => ({
  id,
  napiId: 100 + id,
  dmabufId: undefined,
  otherUser: undefined,
});

const MiB = 2 ** 20;

/** udmabuf and no other dma-bufs. */
export const UDMABUF: MemoryProbe[] = [
  { type: 'udmabuf', available: true, sizeLimitBytes: 1024 * MiB, listLimit: 1024, hugePages: [] },
  { type: 'dma-heap', available: false, heaps: [] },
  { type: 'cuda', available: false, devices: [] },
  { type: 'host', available: true, hugePages: [] },
];

/** A machine with a capable NIC, `eth1`, where nothing is missing. */
export function machine(
  changes: Partial<Machine> = {},
  entries: Readonly<Record<string, Entry>> = GOOD_FILES,
): Machine {
  return {
    platform: 'linux',
    release: '7.3.4-amd64',
    unsupported: undefined,
    files: new Files(tree(entries)),
    canBindRx: () => Promise.resolve(true),
    tokenQueue: () => null,
    zcrx: () => null,
    dontneedError: () => EINVAL,
    memory: () => Promise.resolve(UDMABUF),
    links: () => Promise.resolve([ETH1]),
    rxQueues: () => Promise.resolve([queue(0), queue(1)]),
    rings: () => Promise.resolve(RINGS),
    feature: () => Promise.resolve({ active: true, changeable: true }),
    listens: () => Promise.resolve(false),
    driver: (name) => Promise.resolve(name === 'eth1' ? 'mlx5_core' : 'virtio_net'),
    ...changes,
  };
}
