/** Receives the pattern and looks at every byte of it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { release } from 'node:os';
import { fileURLToPath } from 'node:url';

import {
  type Binding,
  bindRx,
  createServer,
  DmaBuf,
  type DevmemSocket,
  type Mode,
} from '../../index.js';
import type { Progress } from '../progress.js';
import { Pattern } from './pattern.js';

/** Where to receive and from where to send. */
export interface DemoSetup {
  bytes: number;
  memoryBytes: number;
  mode: Mode;
  interface: string | undefined;
  queues: number[] | undefined;
  /** The address to listen on, and to send to. */
  host: string;
  /** A command that runs its arguments where the sender is to be; empty: right here. */
  peerCommand: string[];
}

/** What `npm run demo -- --json` prints. */
export interface DemoResult {
  transport: string;
  /** The kernel's release. */
  kernel: string;
  bytes: number;
  seconds: number;
  frags: number;
  deviceBytes: number;
  linearBytes: number;
  copiedBytes: number;
  /** Every byte was what it should be, and none was missing. */
  verified: boolean;
  /** Why it is not the devmem path, if it is not. */
  fallback?: string;
}

const SEED = 20231106;

export async function runDemo(setup: DemoSetup, progress: Progress): Promise<DemoResult> {
  await using memory = await DmaBuf.allocate({ size: setup.memoryBytes });
  await using binding = await bindRx({
    memory,
    mode: setup.mode,
    ...(setup.interface !== undefined && { interface: setup.interface }),
    ...(setup.queues !== undefined && { queues: setup.queues }),
  });
  const result = await receiveOnce(setup, binding, progress);
  if (binding.fallback !== undefined) result.fallback = binding.fallback.message;
  return result;
}

// One connection from one sender; fails with whichever end fails first.
async function receiveOnce(
  setup: DemoSetup,
  binding: Binding,
  progress: Progress,
): Promise<DemoResult> {
  let received: (result: DemoResult) => void;
  let failed: (error: Error) => void;
  const outcome = new Promise<DemoResult>((resolve, reject) => {
    received = resolve;
    failed = reject;
  });
  await using server = createServer({ binding }, async (socket) => {
    received(await receiveStream(socket, binding.memory, setup.bytes, progress));
  });
  server.on('error', failed!);
  server.on('socketError', failed!);
  const { port } = await server.listen({ host: setup.host });
  const sender = startSender(setup, port, failed!);
  try {
    return await outcome;
  } finally {
    sender.kill();
  }
}

async function receiveStream(
  socket: DevmemSocket,
  memory: DmaBuf,
  expected: number,
  progress: Progress,
): Promise<DemoResult> {
  const pattern = new Pattern(SEED);
  const view = memory.map();
  const started = performance.now();
  let position = 0;
  let wrongPieces = 0;
  const look = (bytes: Uint8Array): void => {
    if (pattern.mismatch(position, bytes) !== -1) wrongPieces++;
    position += bytes.length;
  };
  for await (const batch of socket.batches()) {
    memory.cpuAccess(() => {
      batch.forEach((offset, size) => {
        look(view.subarray(offset, offset + size));
      }, look);
    });
    batch.release();
    progress.update(position);
  }
  progress.clear();
  const seconds = (performance.now() - started) / 1000;
  const { fragments: frags, deviceBytes, linearBytes, copiedBytes } = socket.stats;
  return {
    transport: socket.transport,
    kernel: release(),
    bytes: position,
    seconds: Number(seconds.toFixed(3)),
    frags,
    deviceBytes,
    linearBytes,
    copiedBytes,
    verified: wrongPieces === 0 && position === expected,
  };
}

function startSender(setup: DemoSetup, port: number, failed: (error: Error) => void): ChildProcess {
  const script = fileURLToPath(new URL('sender.js', import.meta.url));
  const command = [
    ...setup.peerCommand,
    process.execPath,
    script,
    setup.host,
    String(port),
    String(setup.bytes),
    String(SEED),
  ];
  const sender = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] });
  sender.on('error', failed);
  void once(sender, 'exit').then(([status]) => {
    if (status !== 0 && status !== null) failed(new Error(`the sender exited with ${status}`));
  });
  return sender;
}
