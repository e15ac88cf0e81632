/** Sending: plain sockets, on any system, with or without the addon. */
import { once } from 'node:events';
import net from 'node:net';
import { finished, pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';

import { type Meter, round } from './meter.js';
import { addressText, type Endpoint, type RemoteEndpoint } from '../values.js';
import { limited, type Source } from './sources.js';
import type { Stopper } from './stopping.js';

export interface SendSetup {
  /** Where to connect to, or to accept connections. */
  connect?: RemoteEndpoint | undefined;
  listen?: Endpoint | undefined;
  connections: number;
  source: Source;
  /** Bytes of each connection. */
  bytes: number | undefined;
  /** Ends so many seconds after the first connection began. */
  seconds: number | undefined;
  meter: Meter;
  stopper: Stopper;
  onListening?: (address: string, port: number) => void;
}

export interface SentConnection {
  remote: string;
  bytes: number;
  seconds: number;
  /** What ended the connection, if it failed. */
  error?: string;
}

/** Resolves once every peer has closed its connection, or the sending was stopped. */
export async function sendAll(setup: SendSetup): Promise<SentConnection[]> {
  try {
    const sockets = setup.connect
      ? Array.from({ length: setup.connections }, () => connected(setup, setup.connect!))
      : await accepted(setup, setup.listen ?? { host: undefined, port: 0 });
    return await Promise.all(sockets.map(async (socket) => sendOne(setup, await socket)));
  } finally {
    setup.meter.stop();
  }
}

async function connected({ stopper }: SendSetup, to: RemoteEndpoint): Promise<net.Socket> {
  const socket = net.connect(to);
  try {
    await once(socket, 'connect', { signal: stopper.signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Waits for as many connections as are wanted: all of them begin at the same time. */
async function accepted(
  { connections, stopper, onListening }: SendSetup,
  { host, port }: Endpoint,
): Promise<net.Socket[]> {
  const server = net.createServer();
  const sockets: net.Socket[] = [];
  try {
    server.listen(port, host);
    await once(server, 'listening', { signal: stopper.signal });
    const address = server.address() as net.AddressInfo;
    onListening?.(address.address, address.port);
    while (sockets.length < connections) {
      const [socket] = (await once(server, 'connection', { signal: stopper.signal })) as [
        net.Socket,
      ];
      sockets.push(socket);
    }
    return sockets;
  } catch (error) {
    for (const socket of sockets) socket.destroy();
    throw error;
  } finally {
    server.close();
  }
}

// What was written before the end gets this long to leave.
const GRACE_MS = 1000;

// Rejects a turn after the end, in which a pipeline that is done says so.
async function cutShort(socket: net.Socket): Promise<never> {
  await turn();
  throw socket.errored ?? new Error('the peer closed the connection');
}

async function sendOne(setup: SendSetup, socket: net.Socket): Promise<SentConnection> {
  const { source, bytes, meter, stopper } = setup;
  const remote = addressText(socket.remoteAddress ?? '?', socket.remotePort ?? 0);
  const started = performance.now();
  meter.start();
  stopper.stopAfter(setup.seconds);
  const destroyLater = (): void => {
    setTimeout(() => socket.destroy(), GRACE_MS).unref();
  };
  stopper.signal.addEventListener('abort', destroyLater);
  let sent = 0;
  let failure: Error | undefined;
  // Nothing is expected, but reading is what notices that the peer is done.
  const closed = finished(socket.resume(), { writable: false });
  // Of a socket that was reset, neither pipeline() nor finished() always tells.
  const gone = new Promise<void>((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
  try {
    const pieces = limited(source(), bytes, stopper.signal, (count) => {
      sent += count;
      meter.add(count);
    });
    await Promise.race([pipeline(pieces, socket), gone.then(() => cutShort(socket))]);
    await Promise.race([closed, gone]);
    if (socket.errored !== null) throw socket.errored;
  } catch (error) {
    if (!stopper.signal.aborted) failure = error as Error;
    socket.destroy();
    await Promise.race([closed.catch(() => {}), gone]);
  } finally {
    stopper.signal.removeEventListener('abort', destroyLater);
  }
  return {
    remote,
    bytes: sent,
    seconds: round((performance.now() - started) / 1000),
    ...(failure !== undefined && { error: failure.message }),
  };
}
