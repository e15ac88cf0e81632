/** Receiving connections on a binding until they, or something else, end it. */
import { type Binding, connect, createServer, type DevmemSocket } from '../../index.js';
import { type Meter, round } from './meter.js';
import { addressText, type Endpoint, type RemoteEndpoint } from '../values.js';
import type { Pattern } from './pattern.js';
import { type Reading, readStream } from './reader.js';
import type { Stopper } from './stopping.js';

export interface ReceiveSetup {
  binding: Binding;
  /** Where to accept connections, or to connect to. */
  listen?: Endpoint | undefined;
  connect?: RemoteEndpoint | undefined;
  /** Ends after so many; 0: never. */
  connections: number;
  /** Ends after so many bytes of all connections together. */
  bytes: number | undefined;
  /** Ends so many seconds after the first connection began. */
  seconds: number | undefined;
  pattern: Pattern | undefined;
  meter: Meter;
  stopper: Stopper;
  onListening?: (address: string, port: number) => void;
}

/** What came, over one connection or all of them. */
export interface Received {
  bytes: number;
  seconds: number;
  frags: number;
  deviceBytes: number;
  linearBytes: number;
  copiedBytes: number;
  /** Times reading stood still because too much memory was held. */
  stalls: number;
}

/** What came over one connection. */
export interface ConnectionResult extends Received {
  /** The peer's address and port. */
  remote: string;
  /** Whether every byte was the pattern's; undefined where nobody looked. */
  verified?: boolean;
  /** Position of the first byte that was not. */
  firstWrong?: number;
  /** What ended the connection, if it failed. */
  error?: string;
}

/** Resolves once all is over; what happened on each connection, in the order of their ends. */
export async function receiveAll(setup: ReceiveSetup): Promise<ConnectionResult[]> {
  const { stopper, meter } = setup;
  const results: ConnectionResult[] = [];
  // While all was set up.
  if (stopper.signal.aborted) return results;
  const handle = async (socket: DevmemSocket): Promise<void> => {
    meter.start();
    stopper.stopAfter(setup.seconds);
    results.push(await receiveOne(setup, socket));
  };
  try {
    if (setup.connect !== undefined) await connectAll(setup, setup.connect, handle);
    else await acceptAll(setup, handle);
  } finally {
    meter.stop();
  }
  return results;
}

async function connectAll(
  setup: ReceiveSetup,
  to: RemoteEndpoint,
  handle: (socket: DevmemSocket) => Promise<void>,
): Promise<void> {
  const { binding, stopper } = setup;
  const running = Array.from({ length: Math.max(setup.connections, 1) }, async () => {
    await using socket = await connect({ binding, ...to, signal: stopper.signal });
    await handle(socket);
  });
  const failed = (await Promise.allSettled(running)).find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected' && !stopper.signal.aborted) throw failed.reason;
}

async function acceptAll(
  setup: ReceiveSetup,
  handle: (socket: DevmemSocket) => Promise<void>,
): Promise<void> {
  const { binding, stopper, connections } = setup;
  const running = new Set<Promise<void>>();
  let ended = 0;
  const { promise: over, resolve: end, reject: fail } = withResolvers();
  await using server = createServer({ binding }, async (socket) => {
    // More than were asked for, before the server could stop listening.
    if (stopper.signal.aborted || (connections > 0 && running.size === connections)) return;
    const handled = handle(socket);
    running.add(handled);
    await handled;
    if (++ended === connections) end();
  });
  server.on('error', fail);
  stopper.signal.addEventListener('abort', () => {
    for (const socket of server.connections) socket.destroy();
    end();
  });
  const { host, port } = setup.listen ?? { host: undefined, port: 0 };
  const address = await server.listen({ port, ...(host !== undefined && { host }) });
  setup.onListening?.(address.address, address.port);
  await over;
  await Promise.all(running);
}

async function receiveOne(setup: ReceiveSetup, socket: DevmemSocket): Promise<ConnectionResult> {
  const { pattern, meter, stopper, bytes: limit } = setup;
  const remote = addressText(socket.remoteAddress ?? '?', socket.remotePort ?? 0);
  const reading: Reading = { bytes: 0, firstWrong: -1 };
  const started = performance.now();
  let failure: Error | undefined;
  try {
    await readStream(socket, pattern, reading, (bytes) => {
      meter.add(bytes);
      if (limit !== undefined && meter.bytes >= limit) stopper.stop('bytes');
    });
  } catch (error) {
    // What was stopped here fails for no other reason.
    if (!stopper.signal.aborted) failure = error as Error;
  }
  const { fragments, deviceBytes, linearBytes, copiedBytes, stalls } = socket.stats;
  return {
    remote,
    bytes: reading.bytes,
    seconds: round((performance.now() - started) / 1000),
    frags: fragments,
    deviceBytes,
    linearBytes,
    copiedBytes,
    stalls,
    ...(pattern !== undefined && { verified: reading.firstWrong === -1 && failure === undefined }),
    ...(reading.firstWrong !== -1 && { firstWrong: reading.firstWrong }),
    ...(failure !== undefined && { error: failure.message }),
  };
}

function withResolvers(): {
  promise: Promise<void>;
  resolve: () => void;
  reject: (error: unknown) => void;
} {
  let resolve!: () => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
