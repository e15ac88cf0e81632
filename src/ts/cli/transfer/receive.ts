/** Receiving connections on a binding until they, or something else, end it. */
import { type Binding, connect, createServer, type DevmemSocket } from '../../index.js';
import { errorText } from '../error-text.js';
import { type Meter, round } from './meter.js';
import type { Endpoint, RemoteEndpoint } from '../values.js';
import type { Destination } from './into/destination.js';
import { gatherStream } from './into/gather.js';
import type { Pattern } from './pattern.js';
import { type Counting, type Reading, readStream } from './reader.js';
import type { Stopper } from './stopping.js';
import { type ConnectionResult, Tally } from './tally.js';
import { connectTogether, remoteText } from './together.js';

export interface ReceiveSetup {
  binding: Binding;
  /** Where to accept connections, or to connect to. */
  listen?: Endpoint | undefined;
  connect?: RemoteEndpoint | undefined;
  /** Ends after so many; 0: never. */
  connections: number;
  /** Ends after so many bytes of all connections together. */
  bytes: number | undefined;
  /** Ends so many seconds after the first connection began, and if there is none till then. */
  seconds: number | undefined;
  pattern: Pattern | undefined;
  /** Where each stream is made contiguous; undefined: it is read as it lies. */
  into?: Destination | undefined;
  meter: Meter;
  stopper: Stopper;
  onListening?: (address: string, port: number) => void;
}

/** Resolves once all is over, with what came. */
export async function receiveAll(setup: ReceiveSetup): Promise<Tally> {
  const { stopper, meter, seconds } = setup;
  const tally = new Tally();
  // While all was set up.
  if (stopper.signal.aborted) return tally;
  stopper.stopAfter(seconds);
  const handle = async (socket: DevmemSocket): Promise<void> => {
    if (meter.start()) stopper.stopAfter(seconds);
    tally.add(await receiveOne(setup, socket));
  };
  try {
    if (setup.connect !== undefined) await connectAll(setup, setup.connect, handle);
    else await acceptAll(setup, handle);
  } finally {
    meter.stop();
  }
  return tally;
}

async function connectAll(
  { binding, stopper, connections }: ReceiveSetup,
  to: RemoteEndpoint,
  handle: (socket: DevmemSocket) => Promise<void>,
): Promise<void> {
  const sockets = await connectTogether(connections, stopper, (signal) =>
    connect({ binding, ...to, signal }),
  );
  const running = sockets.map(async (each) => {
    await using socket = each;
    await handle(socket);
  });
  await Promise.all(running);
}

async function acceptAll(
  setup: ReceiveSetup,
  handle: (socket: DevmemSocket) => Promise<void>,
): Promise<void> {
  const { binding, stopper, connections } = setup;
  const running = new Set<Promise<void>>();
  let accepted = 0;
  let ended = 0;
  const { promise: over, resolve: end, reject: fail } = withResolvers();
  await using server = createServer({ binding }, async (socket) => {
    // More than were asked for, before the server could stop listening.
    if (stopper.signal.aborted || (connections > 0 && accepted === connections)) return;
    accepted++;
    const handled = handle(socket);
    running.add(handled);
    await handled;
    running.delete(handled);
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
  const remote = remoteText(socket);
  const reading: Reading = { bytes: 0, firstWrong: -1 };
  const started = performance.now();
  let failure: string | undefined;
  try {
    await read(setup, socket, reading, {
      came: (bytes) => meter.add(bytes),
      taken: () => {
        if (limit !== undefined && meter.bytes >= limit) stopper.stop('bytes');
      },
    });
  } catch (error) {
    // What was stopped here fails for no other reason.
    if (!stopper.signal.aborted) failure = errorText(error);
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
    ...(failure !== undefined && { error: failure }),
  };
}

function read(
  { pattern, into, bytes: limit = Infinity, meter }: ReceiveSetup,
  socket: DevmemSocket,
  reading: Reading,
  counting: Counting,
): Promise<void> {
  if (into === undefined) return readStream(socket, pattern, reading, counting);
  const wanted = (): number => Math.max(limit - meter.bytes, 1);
  return gatherStream(socket, { into, pattern, wanted }, reading, counting);
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
