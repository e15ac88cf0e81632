/** What `devmem-tcp top` shows of a view. */
import { describe, expect, it } from 'vitest';

import { renderTop } from '../../dist/cli/top/render.js';
import { columnsOf, cut } from '../../dist/cli/top/table.js';
import type { TopView } from '../../dist/cli/top/view.js';
import { generator } from '../support/random.js';
import {
  bindingSnapshot,
  connectionView,
  KERNEL,
  processView,
  topView,
} from '../support/top-views.js';

const plain = (_style: unknown, text: string): string => text;

function shown(view: TopView, columns: number, rows = Infinity): string {
  return renderTop(view, { columns, rows }, plain).join('\n');
}

describe('a view is shown', () => {
  it('with all its columns, where there is room', () => {
    expect(shown(topView(), 120)).toMatchInlineSnapshot(`
      "devmem-tcp top  12:03:04  1 process, 2 connections, 1.50 GB/s

      PROCESS  CONNECTIONS       RATE  RECEIVED  STALLS  NEW  PROGRAM
      4711               2  1.50 GB/s  1.00 GiB       5    1  /srv/service.mjs

      BINDING  PROCESS  BY    INTERFACE  QUEUES  MEMORY             HELD
      3        4711     cmsg  eth1       14-15   udmabuf 64.00 MiB  8.00 MiB of 32.00 MiB, 25%

      REMOTE               LOCAL               PROCESS  BY         RATE    RECEIVED    LINEAR  HELD  STALLS
      192.0.2.2:40000      192.0.2.1:5201      4711     cmsg  1.50 GB/s  100.00 MiB  4.00 MiB    17       0
      [2001:db8::2]:40001  [2001:db8::1]:5201  4711     cmsg          -    5.00 MiB       0 B  2048   2 now

      INTERFACE  QUEUE  BOUND TO
      eth1          14  dma-buf 3
      eth1          15  dma-buf 3

      PAGE POOL  INTERFACE  MEMORY OF  IN FLIGHT
      21         eth1       dma-buf 3       1024
      9          -          dma-buf 2          3  waits for its last pages

      Besides: 14 rx queues and 14 page pools of the kernel's own memory."
    `);
  });

  it('without those that matter least, on 80 columns', () => {
    expect(shown(topView(), 80)).toMatchInlineSnapshot(`
      "devmem-tcp top  12:03:04  1 process, 2 connections, 1.50 GB/s

      PROCESS  CONNECTIONS       RATE  RECEIVED  STALLS  NEW  PROGRAM
      4711               2  1.50 GB/s  1.00 GiB       5    1  /srv/service.mjs

      BINDING  PROCESS  BY    INTERFACE  MEMORY             HELD
      3        4711     cmsg  eth1       udmabuf 64.00 MiB  8.00 MiB of 32.00 MiB, 25%

      REMOTE               LOCAL                    RATE    RECEIVED  HELD  STALLS
      192.0.2.2:40000      192.0.2.1:5201      1.50 GB/s  100.00 MiB    17       0
      [2001:db8::2]:40001  [2001:db8::1]:5201          -    5.00 MiB  2048   2 now

      INTERFACE  QUEUE  BOUND TO
      eth1          14  dma-buf 3
      eth1          15  dma-buf 3

      PAGE POOL  INTERFACE  MEMORY OF  IN FLIGHT
      21         eth1       dma-buf 3       1024
      9          -          dma-buf 2          3  waits for its last pages

      Besides: 14 rx queues and 14 page pools of the kernel's own memory."
    `);
  });

  it('with what matters most, on 36 columns', () => {
    expect(shown(topView(), 36)).toMatchInlineSnapshot(`
      "devmem-tcp top  12:03:04  1 process…

      PROCESS       RATE  RECEIVED
      4711     1.50 GB/s  1.00 GiB

      BINDING  HELD
      3        8.00 MiB of 32.00 MiB, 25%

      REMOTE                    RATE
      192.0.2.2:40000      1.50 GB/s
      [2001:db8::2]:40001          -

      INTERFACE  QUEUE  BOUND TO
      eth1          14  dma-buf 3
      eth1          15  dma-buf 3

      PAGE POOL  MEMORY OF  IN FLIGHT
      21         dma-buf 3       1024
      9          dma-buf 2          3

      Besides: 14 rx queues and 14 page
      pools of the kernel's own memory."
    `);
  });

  it('with the fastest connections, and how many more there are, where lines are few', () => {
    const connections = Array.from({ length: 50 }, (_, i) =>
      connectionView({ id: i, remote: `192.0.2.2:${i}`, bytesPerSecond: i * 1e6 }),
    );
    const many = topView({ processes: [processView({ connections, connectionCount: 50 })] });
    const lines = shown(many, 100, 30).split('\n');
    expect(lines.length).toBeLessThanOrEqual(30);
    expect(lines.find((line) => line.startsWith('192.0.2.2:'))).toContain('192.0.2.2:49');
    const told = lines.filter((line) => line.startsWith('192.0.2.2:')).length;
    expect(lines).toContain(`… ${50 - told} more`);
    // The others are there, whole.
    expect(lines.filter((line) => line.startsWith('eth1'))).toHaveLength(2);
  });
});

describe('words tell', () => {
  it('how processes come to be shown, where there is none', () => {
    const text = shown(topView({ processes: [] }), 80).replaceAll('\n', ' ');
    expect(text).toContain('have it call serveDiagnostics({ path }), and name that path');
  });

  it('of a process that does not tell', () => {
    const silent = [{ path: '/run/x', problem: 'connect EACCES /run/x' }];
    const text = shown(topView({ processes: [], silent }), 80);
    expect(text).toContain('/run/x: connect EACCES /run/x');
    expect(text).not.toContain('serveDiagnostics');
  });

  it('that nothing is bound', () => {
    const kernel = { queues: [], freeQueues: 1, pools: [], ordinaryPools: 2 };
    expect(shown(topView({ kernel }), 200)).toContain(
      "No rx queue of this network namespace is bound. 1 rx queue and 2 page pools of the kernel's own memory.",
    );
  });

  it('why the kernel tells nothing', () => {
    const kernel = { reason: "netlink ENOENT: no such file, generic netlink family 'netdev'" };
    expect(shown(topView({ kernel }), 200)).toContain(kernel.reason);
  });
});

it('names that would control the terminal are written out', () => {
  const evil = '\x1b[2J\u202e\n';
  const kernel = { ...KERNEL, queues: [{ interface: evil, queue: 0, user: 'dma-buf 1' }] };
  const process = processView({
    program: evil,
    bindings: [bindingSnapshot({ interface: evil })],
    connections: [connectionView({ remote: evil, local: evil })],
  });
  const silent = [{ path: evil, problem: evil }];
  const text = shown(topView({ kernel, processes: [process], silent }), 500);
  expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\u202e]/u);
  expect(text).toContain('\\x1b[2J');
});

const ODD = [
  '',
  'a',
  'eth1',
  '日本語',
  '🦆🦆',
  '\x1b[31m',
  '\u202e',
  'x'.repeat(300),
  '한',
  'é',
  '\n',
];

/** Any view. */
function anyView(random: (below: number) => number): TopView {
  const text = (): string =>
    Array.from({ length: random(4) }, () => ODD[random(ODD.length)]).join(' ');
  const number = (): number => [0, 1, random(1e9), 1e18, 123.456][random(5)]!;
  const some = <T>(most: number, make: () => T): T[] => Array.from({ length: random(most) }, make);
  return {
    time: random(2 ** 31) * 1000,
    kernel:
      random(4) === 0
        ? { reason: text() }
        : {
            queues: some(20, () => ({ interface: text(), queue: number(), user: 'dma-buf 1' })),
            freeQueues: number(),
            pools: some(20, () => ({
              id: number(),
              interface: random(2) === 0 ? null : text(),
              user: random(2) === 0 ? null : 'io_uring',
              inFlight: number(),
              detached: random(2) === 0,
            })),
            ordinaryPools: number(),
          },
    processes: some(4, () =>
      processView({
        pid: number(),
        threadId: random(2),
        program: text(),
        bytesPerSecond: random(2) === 0 ? null : number(),
        connectionCount: number(),
        bindings: some(5, () =>
          bindingSnapshot({
            interface: text(),
            queues: some(600, () => random(1000)),
            heldBytes: number(),
            heldLimit: number(),
          }),
        ),
        connections: some(30, () =>
          connectionView({
            remote: text(),
            local: text(),
            stalled: random(2) === 0,
            bytesPerSecond: random(2) === 0 ? null : number(),
          }),
        ),
      }),
    ),
    silent: some(3, () => ({ path: text(), problem: text() })),
  };
}

it('no line is wider than the terminal, there are no more than it has, and none controls it', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = generator(seed);
    const view = anyView(random);
    const size = { columns: 1 + random(160), rows: 1 + random(60) };
    const lines = renderTop(view, size, plain);
    const when = `seed ${seed}, ${size.columns} x ${size.rows}`;
    expect(lines.length, when).toBeLessThanOrEqual(size.rows);
    for (const line of lines) {
      expect(columnsOf(line), `${when}: ${line}`).toBeLessThanOrEqual(size.columns);
      expect(line, when).not.toMatch(/\p{Cc}/u);
    }
  }
});

it('text is cut where it does not fit, and wide characters take two columns', () => {
  expect(cut('interface', 9)).toBe('interface');
  expect(cut('interface', 8)).toBe('interfa…');
  expect(cut('日本語', 6)).toBe('日本語');
  expect(cut('日本語', 5)).toBe('日本…');
  expect(cut('日本語', 4)).toBe('日…');
  expect(cut('abc', 1)).toBe('…');
  expect(cut('abc', 0)).toBe('');
});
