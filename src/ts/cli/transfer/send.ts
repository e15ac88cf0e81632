/** Sending: plain sockets, on any system, with or without the addon. */
import { once } from 'node:events';
import net from 'node:net';
import { finished, pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';

import { errorText } from '../error-text.js';
import type { Endpoint, RemoteEndpoint } from '../values.js';
import { type Meter, round } from './meter.js';
import { limited, type Source } from './sources.js';
import type { Stopper } from './stopping.js';
import { acceptTogether, connectTogether, remoteText } from './together.js';

export interface SendSetup {
  /** Where to connect to, or to accept connections. */
  connect?: RemoteEndpoint | undefined;
  listen?: Endpoint | undefined;
  connections: number;
  source: Source;
  /** Bytes of each connection. */
  bytes: number | undefined;
  /** Ends so many seconds after all have connected, and if they have not till then. */
  seconds: number | undefined;
  meter: Meter;
  stopper: Stopper;
  onListening?: (address: string, port: number) => void;
  /** A peer went before all had come. */
  onLeft: (remote: string, error: Error | null) => void;
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
  const { stopper, meter, seconds } = setup;
  stopper.stopAfter(seconds);
  try {
    const sockets = await connections(setup);
    meter.start();
    stopper.stopAfter(seconds);
    return await Promise.all(sockets.map((socket) => sendOne(setup, socket)));
  } finally {
    meter.stop();
  }
}

/** As many as are wanted: all of them begin at the same time. */
function connections(setup: SendSetup): Promise<net.Socket[]> {
  const { connect, listen, connections: count, stopper, onListening, onLeft } = setup;
  if (connect !== undefined) {
    return connectTogether(count, stopper, (signal) => connected(connect, signal));
  }
  const at = listen ?? { host: undefined, port: 0 };
  return acceptTogether({ at, count, stopper, onListening, onLeft });
}

async function connected(to: RemoteEndpoint, signal: AbortSignal): Promise<net.Socket> {
  const socket = net.connect({ ...to, allowHalfOpen: true });
  try {
    await once(socket, 'connect', { signal });
    // While it waits for the others; the socket remembers it.
    socket.on('error', () => {});
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
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
  const remote = remoteText(socket);
  const started = performance.now();
  const destroyLater = (): void => {
    setTimeout(() => socket.destroy(), GRACE_MS).unref();
  };
  stopper.signal.addEventListener('abort', destroyLater);
  let sent = 0;
  let failure: string | undefined;
  // Nothing is expected, but reading is what notices that the peer is done.
  const closed = finished(socket.resume(), { writable: false });
  // Looked at only where writing has not failed.
  closed.catch(() => {});
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
    if (!stopper.signal.aborted) failure = errorText(socket.errored ?? error);
    socket.destroy();
    await gone;
  } finally {
    stopper.signal.removeEventListener('abort', destroyLater);
  }
  return {
    remote,
    bytes: sent,
    seconds: round((performance.now() - started) / 1000),
    ...(failure !== undefined && { error: failure }),
  };
}
