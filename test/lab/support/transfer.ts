/** Streams of the pattern, sent from the peer and looked at byte by byte. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import type { Binding, DevmemSocket, SocketStats } from 'devmem-tcp';
import { createServer } from 'devmem-tcp';

import { Pattern } from '../../../dist/cli/transfer/pattern.js';
import { ADDRESS, type Family } from './guest.js';

const MAIN = fileURLToPath(new URL('../../../dist/bundle/cli.js', import.meta.url));
const SEED = 1;

const pattern = new Pattern(SEED);

/** Starts a sender in the peer's namespace. */
export function startSender(
  host: string,
  port: number,
  bytes: number,
  stderr: 'inherit' | 'ignore' = 'inherit',
): ChildProcess {
  const args = sending('--connect', host, port, bytes);
  return spawn('peer', args, { stdio: ['ignore', 'ignore', stderr] });
}

/** The same, for the first one to connect. Resolves once it listens. */
export async function startServer(
  host: string,
  port: number,
  bytes: number,
): Promise<ChildProcess> {
  const args = sending('--listen', host, port, bytes);
  const server = spawn('peer', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const [said] = (await once(server.stderr, 'data')) as [Buffer];
  if (!String(said).startsWith('listening')) throw new Error(String(said));
  return server;
}

function sending(how: string, host: string, port: number, bytes: number): string[] {
  const where = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  const what = ['--bytes', String(bytes), '--seed', String(SEED)];
  return [process.execPath, MAIN, 'send', how, where, ...what];
}

export interface Received {
  bytes: number;
  /** Of those, how many came into each binding's memory. */
  bytesByBinding: Map<number, number>;
  /** Position of the first wrong byte, or -1. */
  firstWrong: number;
  stats: SocketStats;
}

/** Lets the CPU read the memory of all bindings in the meantime. */
function cpuAccess(bindings: readonly Binding[], action: () => void): void {
  const [first, ...others] = bindings;
  if (first === undefined) action();
  else {
    first.memory.cpuAccess(() => {
      cpuAccess(others, action);
    });
  }
}

/**
 * Reads a socket to its end and compares each byte, where it lies, with the pattern.
 *
 * @param onProgress - called after each batch with the bytes so far
 */
export async function patternReader(
  socket: DevmemSocket,
  onProgress?: (position: number) => Promise<void>,
): Promise<Received> {
  const bytesByBinding = new Map<number, number>();
  let position = 0;
  let firstWrong = -1;
  const look = (bytes: Uint8Array): void => {
    const at = pattern.mismatch(position, bytes);
    if (at !== -1 && firstWrong === -1) firstWrong = position + at;
    position += bytes.length;
  };
  for await (const batch of socket.batches()) {
    cpuAccess(socket.bindings, () => {
      batch.forEach((offset, size, id, index) => {
        bytesByBinding.set(id, (bytesByBinding.get(id) ?? 0) + size);
        look(
          batch
            .memory(index)!
            .map()
            .subarray(offset, offset + size),
        );
      }, look);
    });
    batch.release();
    await onProgress?.(position);
  }
  return { bytes: position, bytesByBinding, firstWrong, stats: socket.stats };
}

/**
 * Receives one stream per sender, all of them at once.
 *
 * @param senders - how many
 * @param bytes - of each stream
 * @param port - to listen on; 0: any
 */
export async function receiveStreams(
  binding: Binding,
  family: Family,
  bytes: number,
  senders = 1,
  port = 0,
): Promise<Received[]> {
  const host = ADDRESS[family];
  const outcomes: Promise<Received>[] = [];
  await using server = createServer({ binding }, async (socket) => {
    const outcome = patternReader(socket);
    outcomes.push(outcome);
    await outcome;
  });
  const address = await server.listen({ host, port });
  const running = Array.from({ length: senders }, () => startSender(host, address.port, bytes));
  try {
    const statuses = await Promise.all(running.map((sender) => once(sender, 'exit')));
    if (statuses.some(([status]) => status !== 0)) throw new Error('a sender failed');
    return await Promise.all(outcomes);
  } finally {
    for (const sender of running) sender.kill('SIGKILL');
  }
}
