/** What a process tells of itself: its bindings, its connections, what they have counted. */
import { threadId } from 'node:worker_threads';

import type { BackingType } from '../memory/backing.js';
import { type DevmemSocket, socketsOfThread, type SocketStats } from '../net/socket.js';
import { type Binding, bindingsOfThread } from '../receive/binding.js';
import type { ReceiveStats } from '../receive/stats.js';
import type { TransportName } from '../receive/transports/transport.js';

/** A binding's memory, as a snapshot has it. */
export interface MemorySnapshot {
  /** Where the bytes are. */
  type: BackingType;
  /** Bytes. */
  size: number;
}

/** A binding, as a snapshot has it. */
export interface BindingSnapshot {
  /** The kernel's id, as in its dumps; on the transports `copy` and `zcrx` one of this package's. */
  id: number;
  /** How its fragments arrive. */
  transport: TransportName;
  /** The interface; null where none was named. */
  interface: string | null;
  /** The receive queues that are bound; none where bytes are copied. */
  queues: readonly number[];
  /** What is received into. */
  memory: MemorySnapshot;
  /** Bytes of the memory that fragments in use keep from being filled again. */
  heldBytes: number;
  /** `heldBytes` at which reading stops. */
  heldLimit: number;
  /** It was closed, and waits for what is held. */
  closed: boolean;
  /** Why it copies, where devmem was wanted. */
  fallback: string | null;
}

/** A connection, as a snapshot has it. */
export interface ConnectionSnapshot {
  /** A number that no other connection of the thread has had. */
  id: number;
  /** `ADDRESS:PORT`, with brackets for IPv6; empty where the connection is gone by now. */
  local: string;
  /** The same of its peer. */
  remote: string;
  /** How its fragments arrive. */
  transport: TransportName;
  /** Ids of its bindings. */
  bindings: number[];
  /** Whether it is not read because too much memory is held. */
  stalled: boolean;
  /** What it has counted. */
  stats: SocketStats;
}

/** What `serveDiagnostics()` sends: one thread of a process, at one moment. */
export interface DiagnosticsSnapshot {
  /** Of this format; a change that a reader could trip over makes another one. */
  version: 1;
  /** The process, as its own pid namespace numbers it. */
  pid: number;
  /** 0: the main thread. */
  threadId: number;
  /** The script that it runs. */
  program: string;
  /** Milliseconds since 1970. */
  time: number;
  /** Those that are open, or that something is still held of: 100 at most. */
  bindings: BindingSnapshot[];
  /** Open connections in the order in which they were opened: 500 at most. */
  connections: ConnectionSnapshot[];
  /** All open connections. */
  connectionCount: number;
  /** Sums over all connections, of those that are gone too. */
  totals: ReceiveStats;
}

// They take some two milliseconds to put into words, for which a server stands still.
const MOST_CONNECTIONS = 500;
const MOST_BINDINGS = 100;

/** Bindings that are open, or have something to wait for. */
function* openBindings(): Generator<Binding> {
  for (const binding of bindingsOfThread) {
    if (!binding.closed || binding.heldBytes > 0) yield binding;
  }
}

/** @internal Of this thread, now. */
export function takeSnapshot(): DiagnosticsSnapshot {
  const sockets = [...socketsOfThread.open];
  return {
    version: 1,
    pid: process.pid,
    threadId,
    program: process.argv[1] ?? process.argv0,
    time: Date.now(),
    bindings: Array.from(openBindings()).slice(0, MOST_BINDINGS).map(bindingSnapshot),
    connections: sockets.slice(0, MOST_CONNECTIONS).map(connectionSnapshot),
    connectionCount: sockets.length,
    totals: socketsOfThread.totals(),
  };
}

function bindingSnapshot(binding: Binding): BindingSnapshot {
  const { id, transport, queues, memory, heldBytes, heldLimit, closed } = binding;
  return {
    id,
    transport,
    interface: binding.interface ?? null,
    queues,
    memory: { type: memory.type, size: memory.size },
    heldBytes,
    heldLimit,
    closed,
    fallback: binding.fallback?.message ?? null,
  };
}

function connectionSnapshot(socket: DevmemSocket): ConnectionSnapshot {
  return {
    id: socket.number,
    local: endpoint(socket.localAddress, socket.localPort),
    remote: endpoint(socket.remoteAddress, socket.remotePort),
    transport: socket.transport,
    bindings: socket.bindings.map(({ id }) => id),
    stalled: socket.stalled,
    stats: socket.stats,
  };
}

function endpoint(address: string | undefined, port: number | undefined): string {
  if (address === undefined || port === undefined) return '';
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
