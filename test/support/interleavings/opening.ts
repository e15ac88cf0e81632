/** Every way to come by a connected socket. */
import { once } from 'node:events';
import type net from 'node:net';

import { adopt, type Binding, connect, createServer, type DevmemSocket } from 'devmem-tcp';
import { deferred } from '../deferred.js';
import { connectPlain, LOOPBACK, PlainServer } from '../peers.js';
import { pattern } from '../stream.js';
import type { Early, Scenario } from './scenario.js';
import type { Verdict } from './verdict.js';

/** A connection, and what depends on how it was made. */
export interface Opened {
  socket: DevmemSocket;
  peer: net.Socket;
  /** Aborting it ends the connection. */
  controller: AbortController;
  /** Has the server's handler return, or throw; nothing on other connections. */
  leave(error?: Error): void;
  /** Closes the server that it is of, or nothing. */
  closeServer(): Promise<void>;
  /** Closes whatever made it. */
  end(): Promise<void>;
}

/** Where a client connects to a plain peer, or the other way round. */
export async function openConnected(
  binding: Binding,
  { allowHalfOpen, lowWaterMark }: { allowHalfOpen: boolean; lowWaterMark: number },
): Promise<Opened> {
  const controller = new AbortController();
  const server = await PlainServer.listen({ allowHalfOpen: true });
  const accepted = server.accept();
  const socket = await connect({
    ...{ binding, host: LOOPBACK, port: server.port },
    ...{ allowHalfOpen, lowWaterMark, signal: controller.signal },
  });
  return { socket, peer: await accepted, controller, ...ofNoServer(server) };
}

async function openAdopted(binding: Binding, scenario: Scenario): Promise<Opened> {
  const controller = new AbortController();
  const { early, allowHalfOpen, lowWaterMark } = scenario;
  const server = await PlainServer.listen({ pauseOnConnect: early === undefined, allowHalfOpen });
  const accepted = server.accept();
  const peer = await connectPlain(server.port, LOOPBACK, { allowHalfOpen: true });
  const connection = await accepted;
  const head = early === undefined ? undefined : await sendEarly(peer, connection, early);
  const socket = adopt(connection, {
    ...{ binding, lowWaterMark, signal: controller.signal },
    ...(head !== undefined && { head }),
  });
  return { socket, peer, controller, ...ofNoServer(server) };
}

/** Returns what was read of it by another reader; the rest stays in Node's buffer. */
async function sendEarly(
  from: net.Socket,
  to: net.Socket,
  { bytes, head }: Early,
): Promise<Uint8Array | undefined> {
  from.write(pattern.slice(0, bytes));
  while (to.readableLength < bytes) await once(to, 'readable');
  return head === 0 ? undefined : (to.read(head) as Buffer);
}

async function openServed(binding: Binding, scenario: Scenario, verdict: Verdict): Promise<Opened> {
  const controller = new AbortController();
  const { allowHalfOpen, lowWaterMark } = scenario;
  const left = deferred();
  const server = createServer(
    { binding, allowHalfOpen, lowWaterMark, signal: controller.signal },
    () => left.promise,
  );
  let thrown: Error | undefined;
  server.on('error', (error: Error) => {
    if (error !== thrown) verdict.fail(error);
    thrown = undefined;
  });
  const connected = once(server, 'connection') as Promise<[DevmemSocket]>;
  const { port } = await server.listen({ host: LOOPBACK });
  const peer = await connectPlain(port, LOOPBACK, { allowHalfOpen: true });
  const [socket] = await connected;
  return {
    ...{ socket, peer, controller },
    leave: (error) => {
      thrown = error;
      if (error === undefined) left.resolve();
      else left.reject(error);
    },
    closeServer: () => server.close(),
    end: async () => {
      left.resolve();
      await server.close();
      verdict.hold(thrown === undefined, () => "the server emitted no 'error' for its handler's");
    },
  };
}

export function open(binding: Binding, scenario: Scenario, verdict: Verdict): Promise<Opened> {
  if (scenario.opening === 'connect') return openConnected(binding, scenario);
  if (scenario.opening === 'adopt') return openAdopted(binding, scenario);
  return openServed(binding, scenario, verdict);
}

function ofNoServer(server: PlainServer): Pick<Opened, 'leave' | 'closeServer' | 'end'> {
  return {
    leave: () => {},
    closeServer: () => Promise.resolve(),
    end: () => server[Symbol.asyncDispose](),
  };
}
