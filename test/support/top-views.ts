/** Views of `devmem-tcp top`: a fixed one, and any. */
import type { KernelView } from '../../dist/cli/top/kernel.js';
import type { ConnectionView, ProcessView, TopView } from '../../dist/cli/top/view.js';
import type { BindingSnapshot, ConnectionSnapshot, DiagnosticsSnapshot } from 'devmem-tcp';

const MiB = 2 ** 20;

const STATS = {
  wakes: 10,
  receiveCalls: 20,
  batches: 9,
  fragments: 400,
  deviceBytes: 0,
  linearBytes: 0,
  copiedBytes: 0,
  tokensTaken: 0,
  tokensReturned: 0,
  tokensMissed: 0,
  returnCalls: 0,
  returnErrors: 0,
  stalls: 0,
};

export function connectionSnapshot(): ConnectionSnapshot {
  return {
    id: 1,
    local: '192.0.2.1:5201',
    remote: '192.0.2.2:40000',
    transport: 'cmsg',
    bindings: [3],
    stalled: false,
    stats: { ...STATS, deviceBytes: 96 * MiB, linearBytes: 4 * MiB, heldFragments: 17 },
  };
}

export function connectionView(more: Partial<ConnectionView> = {}): ConnectionView {
  return { ...connectionSnapshot(), bytesPerSecond: 1.5e9, ...more };
}

export function bindingSnapshot(more: Partial<BindingSnapshot> = {}): BindingSnapshot {
  return {
    id: 3,
    transport: 'cmsg',
    interface: 'eth1',
    queues: [14, 15],
    memory: { type: 'udmabuf', size: 64 * MiB },
    heldBytes: 8 * MiB,
    heldLimit: 32 * MiB,
    closed: false,
    fallback: null,
    ...more,
  };
}

/** Of a process without connections. */
export function processSnapshot(): DiagnosticsSnapshot {
  return {
    version: 1,
    pid: 4711,
    threadId: 0,
    program: '/srv/service.mjs',
    time: 0,
    bindings: [bindingSnapshot()],
    connections: [],
    connectionCount: 0,
    totals: { ...STATS, deviceBytes: 1024 * MiB, stalls: 5 },
  };
}

export function processView(more: Partial<ProcessView> = {}): ProcessView {
  return {
    ...processSnapshot(),
    path: '/run/service',
    connections: [
      connectionView(),
      connectionView({
        id: 2,
        remote: '[2001:db8::2]:40001',
        local: '[2001:db8::1]:5201',
        stalled: true,
        bytesPerSecond: null,
        stats: { ...STATS, deviceBytes: 5 * MiB, stalls: 2, heldFragments: 2048 },
      }),
    ],
    connectionCount: 2,
    bytesPerSecond: 1.5e9,
    newStalls: 1,
    ...more,
  };
}

export const KERNEL: KernelView = {
  queues: [
    { interface: 'eth1', queue: 14, user: 'dma-buf 3' },
    { interface: 'eth1', queue: 15, user: 'dma-buf 3' },
  ],
  freeQueues: 14,
  pools: [
    { id: 21, interface: 'eth1', user: 'dma-buf 3', inFlight: 1024, detached: false },
    { id: 9, interface: null, user: 'dma-buf 2', inFlight: 3, detached: true },
  ],
  ordinaryPools: 14,
};

export function topView(more: Partial<TopView> = {}): TopView {
  return {
    time: new Date(2026, 0, 1, 12, 3, 4).getTime(),
    kernel: KERNEL,
    processes: [processView()],
    silent: [],
    ...more,
  };
}
