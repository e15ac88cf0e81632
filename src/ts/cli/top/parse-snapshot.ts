/**
 * Reading a snapshot that another process has sent: a folder of sockets may be anybody's, and
 * what is shown is to be what it says it is.
 */
import type {
  BindingSnapshot,
  ConnectionSnapshot,
  DiagnosticsSnapshot,
} from '../../diagnostics/snapshot.js';
import type { ReceiveStats } from '../../receive/stats.js';

type Fields = Readonly<Record<string, unknown>>;

/** @throws Error for what is no snapshot, or what was answered in its place */
export function parseSnapshot(text: string): DiagnosticsSnapshot {
  const fields = parse(text);
  if (typeof fields.error === 'string') throw new Error(`it ${fields.error}`);
  if (typeof fields.version !== 'number') throw noSnapshot();
  if (fields.version !== 1) {
    throw new Error('it speaks another version: use the devmem-tcp that it uses');
  }
  return {
    version: 1,
    pid: number(fields.pid),
    threadId: number(fields.threadId),
    program: string(fields.program),
    time: number(fields.time),
    bindings: list(fields.bindings).map(binding),
    connections: list(fields.connections).map(connection),
    connectionCount: number(fields.connectionCount),
    totals: stats(fields.totals),
  };
}

function parse(text: string): Fields {
  try {
    return object(JSON.parse(text));
  } catch {
    throw noSnapshot();
  }
}

function noSnapshot(): Error {
  return new Error('what it answers is no snapshot: is that the socket of serveDiagnostics()?');
}

function binding(value: unknown): BindingSnapshot {
  const fields = object(value);
  const memory = object(fields.memory);
  return {
    id: number(fields.id),
    transport: string(fields.transport) as BindingSnapshot['transport'],
    interface: fields.interface === null ? null : string(fields.interface),
    queues: list(fields.queues).map(number),
    memory: {
      type: string(memory.type) as BindingSnapshot['memory']['type'],
      size: number(memory.size),
    },
    heldBytes: number(fields.heldBytes),
    heldLimit: number(fields.heldLimit),
    closed: fields.closed === true,
    fallback: fields.fallback === null ? null : string(fields.fallback),
  };
}

function connection(value: unknown): ConnectionSnapshot {
  const fields = object(value);
  return {
    id: number(fields.id),
    local: string(fields.local),
    remote: string(fields.remote),
    transport: string(fields.transport) as ConnectionSnapshot['transport'],
    bindings: list(fields.bindings).map(number),
    stalled: fields.stalled === true,
    stats: { ...stats(fields.stats), heldFragments: number(object(fields.stats).heldFragments) },
  };
}

const COUNTED = [
  'wakes',
  'receiveCalls',
  'batches',
  'fragments',
  'deviceBytes',
  'linearBytes',
  'copiedBytes',
  'tokensTaken',
  'tokensReturned',
  'tokensMissed',
  'returnCalls',
  'returnErrors',
  'stalls',
] as const satisfies readonly (keyof ReceiveStats)[];

function stats(value: unknown): ReceiveStats {
  const fields = object(value);
  return Object.fromEntries(
    COUNTED.map((name) => [name, number(fields[name])]),
  ) as unknown as ReceiveStats;
}

function object(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

function string(value: unknown): string {
  return typeof value === 'string' ? value : '?';
}
